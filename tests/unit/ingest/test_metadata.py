import json

import pytest

from ingest.metadata import read_metadata
from retrieval.errors import DocumentError


def said(tmp_path, content, front_matter=""):
    file = tmp_path / "a.pdf"
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "a.pdf.meta.json").write_text(text)
    return read_metadata(file, front_matter)


def test_values(tmp_path):
    content = {
        "author": "Ann",
        "year": 2024,
        "rate": 0.5,
        "draft": True,
        "tags": ["a", 1],
        "x": None,
    }
    assert said(tmp_path, content) == {
        "author": "Ann", "year": 2024, "rate": 0.5, "draft": "true", "tags": ("a", "1")
    }  # fmt: skip


def test_the_file_beside_it_wins_over_front_matter(tmp_path):
    front = "title: T\nauthor: Bo\ndue: 2025-01-31\nnested: {a: 1}\n2 bad: x\n"
    assert said(tmp_path, {"author": "Ann"}, front) == {"author": "Ann", "due": "2025-01-31"}
    assert read_metadata(tmp_path / "b.md", "author: [") == {}
    assert read_metadata(tmp_path / "b.md", "- list") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "no JSON object"),
        ({"source": "x"}, "a name of twotower's own"),
        ({"a b": 1}, "no name for a key"),
        ({"a": {"b": 1}}, "neither text nor a number"),
        ({"a": [[1]]}, "neither text nor a number"),
        ('{"a": NaN}', "neither text nor a number"),
        ('{"a": "' + "x" * 70_000 + '"}', "at most 64 KB"),
    ],
)
def test_broken_metadata_is_the_documents_error(tmp_path, content, message):
    with pytest.raises(DocumentError, match=message) as raised:
        said(tmp_path, content)
    assert raised.value.kind == "metadata"
