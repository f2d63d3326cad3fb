import pickle

from twotower.retrieval.vocabulary.documents import chunk_id
from twotower.retrieval.vocabulary.errors import DocumentError


def test_a_chunk_id_depends_on_source_text_and_occurrence_only():
    assert chunk_id("a.md", "text", 0) == chunk_id("a.md", "text", 0)
    others = {chunk_id("a.md", "text", 1), chunk_id("b.md", "text", 0), chunk_id("a.md", "Text", 0)}
    assert len(others | {chunk_id("a.md", "text", 0)}) == 4


def test_chunk_ids_do_not_change_between_releases():
    """A change here would make every user encode every index again."""
    assert str(chunk_id("a.md", "text", 0)) == "31056bdc-1c0b-5366-8406-e1101b5752f2"


def test_a_pickled_document_error_keeps_its_reason_and_kind():
    error = pickle.loads(pickle.dumps(DocumentError("no text", "no-text")))
    assert (str(error), error.kind) == ("no text", "no-text")
