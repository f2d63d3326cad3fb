import pickle

from retrieval.errors import DocumentError
from retrieval.types import chunk_id


def test_a_chunk_id_depends_on_source_text_and_occurrence_only():
    assert chunk_id("a.md", "text", 0) == chunk_id("a.md", "text", 0)
    others = {chunk_id("a.md", "text", 1), chunk_id("b.md", "text", 0), chunk_id("a.md", "Text", 0)}
    assert len(others | {chunk_id("a.md", "text", 0)}) == 4


def test_chunk_ids_stay_what_they_are():
    """A change here would embed every index of every user anew."""
    assert str(chunk_id("a.md", "text", 0)) == "31056bdc-1c0b-5366-8406-e1101b5752f2"


def test_a_document_error_crosses_processes_whole():
    error = pickle.loads(pickle.dumps(DocumentError("no text", "no-text")))
    assert (str(error), error.kind) == ("no text", "no-text")
