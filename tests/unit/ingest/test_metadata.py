import json

import pytest

from twotower.ingest.metadata import read_metadata
from twotower.retrieval.vocabulary.errors import DocumentError


def metadata_of(tmp_path, content, front_matter=""):
    file = tmp_path / "a.pdf"
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "a.pdf.meta.json").write_text(text)
    return read_metadata(file, front_matter)


def test_values_are_text_numbers_and_lists(tmp_path):
    content = {
        "author": "Ann",
        "year": 2024,
        "rate": 0.5,
        "draft": True,
        "tags": ["a", 1],
        "x": None,
    }
    assert metadata_of(tmp_path, content) == {
        "author": "Ann", "year": 2024, "rate": 0.5, "draft": "true", "tags": ("a", "1")
    }  # fmt: skip


def test_the_sidecar_wins_over_front_matter(tmp_path):
    front = "title: T\nauthor: Bo\ndue: 2025-01-31\nnested: {a: 1}\n2 bad: x\n"
    metadata = metadata_of(tmp_path, {"author": "Ann"}, front)
    assert metadata == {"author": "Ann", "due": "2025-01-31"}
    assert read_metadata(tmp_path / "b.md", "author: [") == {}
    assert read_metadata(tmp_path / "b.md", "- list") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "must be a JSON object"),
        ({"source": "x"}, "a key of twotower itself"),
        ({"a b": 1}, "not a valid key"),
        ({"a": {"b": 1}}, "must be text, a number"),
        ({"a": [[1]]}, "must be text, a number"),
        ('{"a": NaN}', "must be text, a number"),
        ('{"a": "' + "x" * 70_000 + '"}', "at most 64 KB"),
    ],
)
def test_a_broken_sidecar_is_an_error_of_the_document(tmp_path, content, message):
    with pytest.raises(DocumentError, match=message) as raised:
        metadata_of(tmp_path, content)
    assert raised.value.kind == "metadata"
