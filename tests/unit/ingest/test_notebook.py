import json
import re

import pytest

from twotower.retrieval.vocabulary.errors import DocumentError

OUTPUTS = [
    {"output_type": "stream", "name": "stdout", "text": ["markstream\n", "marksecond\n"]},
    {
        "output_type": "execute_result",
        "data": {
            "text/plain": ["goneplain"],
            "text/html": "<style>gone</style><table><tr><th>A</th><th>B</th></tr>"
            "<tr><td>markcell</td><td>1</td></tr></table>",
            "image/png": "goneimage",
        },
    },
    {"output_type": "display_data", "data": {"text/markdown": "**markbold**", "image/png": "gone"}},
    {"output_type": "display_data", "data": {"text/plain": "markplain"}},
    {
        "output_type": "error",
        "ename": "ValueError",
        "evalue": "x",
        "traceback": ["\x1b[0;31mValueError\x1b[0m: marktrace"],
    },
]
V4 = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"language": "R"}},
    "cells": [
        {"cell_type": "markdown", "source": ["# marktitle\n", "\n", "- markitem\n"]},
        {"cell_type": "code", "source": "markcode <- 1\n\nmarkmore", "outputs": OUTPUTS},
        {"cell_type": "raw", "source": "markraw"},
        {"cell_type": "markdown", "source": "## marksection\n\nmarktext"},
    ],
}
V3 = {
    "nbformat": 3,
    "metadata": {"name": ""},
    "worksheets": [
        {
            "cells": [
                {"cell_type": "heading", "level": 2, "source": ["markheading"]},
                {
                    "cell_type": "code",
                    "input": ["markcode"],
                    "outputs": [
                        {"output_type": "pyout", "text": ["markout"], "png": "gone"},
                        {"output_type": "stream", "text": "markstream"},
                        {"output_type": "pyout", "html": "<p>markpage</p>", "text": "goneplain"},
                    ],
                },
            ]
        }
    ],
}


@pytest.mark.parametrize("notebook", [V4, V3])
def test_every_text_is_kept_and_no_picture(parsed, notebook):
    content = json.dumps(notebook)
    document = parsed("a.ipynb", content)
    text = "\n".join(element.text for element in document.elements)
    assert (
        set(re.findall(r"mark(?!down)\w+", content)) - set(re.findall(r"mark(?!down)\w+", text))
        == set()
    )
    assert "gone" not in text
    assert "\x1b" not in text


def test_structure(parsed):
    document = parsed("a.ipynb", json.dumps(V4))
    assert document.title == "marktitle"
    assert [(e.kind, e.level, e.text) for e in document.elements] == [
        ("heading", 1, "marktitle"),
        ("item", 0, "- markitem"),
        ("lines", 0, "markcode <- 1\n\nmarkmore"),
        ("lines", 0, "markstream\nmarksecond"),
        ("table", 0, "A | B\nmarkcell | 1"),
        ("text", 0, "markbold"),
        ("lines", 0, "markplain"),
        ("lines", 0, "ValueError: marktrace"),
        ("lines", 0, "markraw"),
        ("heading", 2, "marksection"),
        ("text", 0, "marktext"),
    ]


@pytest.mark.parametrize(
    "content",
    ["", "text", json.dumps(V4)[:200], "[]", '{"cells": []}', "[" * 100_000, '{"nbformat": "4"}'],
)
def test_other_content_is_refused(parsed, content):
    with pytest.raises(DocumentError) as caught:
        parsed("a.ipynb", content)
    assert caught.value.kind == "malformed"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "cells",
    [None, 3, [3], [{}], [{"cell_type": "code", "source": 3, "outputs": {"a": 1}}],
     [{"cell_type": "code", "outputs": [{"data": 3, "traceback": "x"}]}],
     [{"cell_type": "heading", "level": "x", "source": ["", 3]}]],
)  # fmt: skip
def test_wrong_types_are_no_text(parsed, cells):
    with pytest.raises(DocumentError, match="no text"):
        parsed("a.ipynb", json.dumps({"nbformat": 4, "metadata": [], "cells": cells}))


def test_another_encoding(parsed):
    content = {"nbformat": 4, "cells": [{"cell_type": "markdown", "source": "Prüfung im März"}]}
    document = parsed("a.ipynb", json.dumps(content, ensure_ascii=False).encode("cp1252"))
    assert document.elements[0].text == "Prüfung im März"
