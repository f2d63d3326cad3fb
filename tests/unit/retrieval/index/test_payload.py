import json

from hypothesis import given
from hypothesis import strategies as st

from twotower.retrieval.index.payload import (
    chunk_from_payload,
    chunk_payload,
    document_from_payload,
    document_payload,
)
from twotower.retrieval.vocabulary.documents import Chunk, DocumentRecord, Provenance

text = st.text(st.characters(exclude_categories=["Cs"]))
page = st.none() | st.integers(1, 9999)
chunks = st.builds(
    Chunk,
    id=st.uuids(),
    text=text,
    prefix=text,
    position=st.integers(0),
    provenance=st.builds(
        Provenance,
        source=text,
        title=text,
        headings=st.lists(text).map(tuple),
        page=page,
        page_end=page,
        start=st.integers(0),
        end=st.integers(0),
    ),
)


@given(chunks)
def test_a_chunk_survives_the_store(chunk):
    payload = json.loads(json.dumps(chunk_payload(chunk)))
    assert chunk_from_payload(chunk.id, payload) == chunk


def test_a_document_record_survives_the_store():
    record = DocumentRecord("a/b.pdf", "/r", "T", "ff", 3, 2, None, "2026-01-01T00:00:00+00:00")
    assert document_from_payload(json.loads(json.dumps(document_payload(record)))) == record
