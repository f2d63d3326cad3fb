import pytest

from twotower.ingest.loaders import FORMATS
from twotower.retrieval.vocabulary.errors import DocumentError

PYTHON = '''"""Module docstring."""

import os

LIMIT = 3


# About the pump.
# In two lines.
@decorated
class Pump:
    """A pump."""

    size = 1

    async def start(self):
        """Start it."""

        def inner():
            return "\\d"

        return inner

    # How to stop.
    def stop(self):
        return 0


def main():
    pass


main()
'''


def test_python_has_its_names_as_headings(parsed):
    elements = parsed("a.py", PYTHON).elements
    assert [(e.level, e.text) for e in elements if e.kind == "heading"] == [
        (1, "Pump"),
        (2, "start"),
        (2, "stop"),
        (1, "main"),
    ]
    code = "\n".join(e.text for e in elements if e.kind == "lines")
    assert code.split() == PYTHON.split()
    blocks = [e.text for e in elements]
    assert blocks[blocks.index("stop") + 1].startswith("    # How to stop.\n    def stop")
    assert blocks[blocks.index("Pump") + 1].startswith("# About the pump.\n# In two lines.\n@dec")


def test_python_with_errors_is_read_as_any_code(pairs):
    code = "def one():\n    print 'x'\n\n    y\n\n# two\ndef two():\n    pass\n"
    assert pairs("a.py", code) == [
        ("lines", "def one():\n    print 'x'\n\n    y"),
        ("lines", "# two\ndef two():\n    pass"),
    ]
    assert pairs("b.py", "x = " + "(" * 5000)


@pytest.mark.parametrize("suffix", [".js", ".java", ".sql", ".yaml", ".toml", ".css"])
def test_code_is_cut_before_lines_without_indent(pairs, suffix):
    code = "/* one */\nfunction one() {\n  a();\n\n  b();\n}\n\n\n// two\nfunction two() {}\n"
    assert pairs(f"a{suffix}", code) == [
        ("lines", "/* one */\nfunction one() {\n  a();\n\n  b();\n}"),
        ("lines", "// two\nfunction two() {}"),
    ]


def test_a_long_class_is_cut_between_its_members(pairs):
    method = "    // Method {0}\n    void m{0}() {{\n        a();\n\n        b();\n    }}\n"
    code = "class Crane {\n" + "\n".join(method.format(n) for n in range(20)) + "}\n"
    texts = [text for _, text in pairs("a.java", code)]
    assert len(texts) == 20
    assert texts[3] == method.format(3).rstrip()
    assert "\n".join(texts).split() == code.split()


def test_code_that_is_nested_without_end_takes_linear_time(parsed):
    code = "\n\n".join(" " * n + "x" for n in range(3000))
    assert len(parsed("a.js", code).elements) >= 1


@pytest.mark.parametrize("suffix", [".ini", ".cfg", ".conf"])
def test_sections_are_headings_and_comments_stay(pairs, suffix):
    content = (
        "; first\nkey = 1\n\n[server] ; main\nport: 80\n# why\n\n[ client ]\nname=ann\n[[x]]\n"
    )
    assert pairs(f"a{suffix}", content) == [
        ("lines", "; first\nkey = 1"),
        ("heading", "server"),
        ("lines", "[server] ; main\nport: 80\n# why"),
        ("heading", "client"),
        ("lines", "name=ann\n[[x]]"),
    ]


def test_properties_are_decoded(pairs):
    content = "# note\ngreeting=Gr\\u00fc\\u00dfe \\ud83d\\ude00 \\ud83d\n".encode("ascii")
    assert pairs("a.properties", content) == [("lines", "# note\ngreeting=Grüße 😀 \ufffd")]


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson"])
def test_each_record_is_a_block_and_an_invalid_line_stays(pairs, suffix):
    content = '{"a": {"b": "Caf\\u00e9"}}\n\nnot json {\n[1, 2]\n{"cut": "of'
    assert pairs(f"a{suffix}", content) == [
        ("lines", "a.b: Café"),
        ("lines", "not json {"),
        ("lines", "1\n2"),
        ("lines", '{"cut": "of'),
    ]


TEXT_FORMATS = ("Source code", "Python", "YAML, TOML", "Configuration", "JSON lines", "LaTeX")


@pytest.mark.parametrize(
    "suffix", [suffix for suffix, f in FORMATS.items() if f.name in TEXT_FORMATS]
)
def test_any_encoding_is_read_and_binary_and_empty_files_are_refused(parsed, suffix):
    text = "Die Prüfung der Geräte für Überdruck erfolgt jährlich im März.\n"
    for encoding in ("utf-8-sig", "cp1252", "utf-16"):
        document = parsed(f"a{suffix}", text.encode(encoding))
        assert "Prüfung" in document.elements[0].text
    for content, kind in ((bytes(range(256)) * 40, "binary"), (b" \n", "no-text")):
        with pytest.raises(DocumentError) as caught:
            parsed(f"a{suffix}", content)
        assert caught.value.kind == kind
