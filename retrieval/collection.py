"""A collection of documents: what the points of a `Store` mean.

A collection has points of three kinds: ``chunk`` (vectors and payload), ``document`` (payload
only: the record of a source file, and the commit of its chunks) and one ``card``.
"""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from retrieval.store.card import IndexCard
from retrieval.store.payload import (
    chunk_from_payload,
    chunk_payload,
    document_from_payload,
    document_payload,
)
from retrieval.store.protocol import Filter, Leg, Point, Store
from retrieval.types import Chunk, DocumentRecord, Scored, SparseVector, Vectors, document_id

_CARD_ID = UUID("00000000-0000-0000-0000-000000000001")


class Collection:
    """Chunks and document records over a store; close it, or use it as a context manager."""

    def __init__(self, name: str, store: Store) -> None:
        self.name = name
        self._store = store

    def card(self) -> IndexCard | None:
        """Read the card; ``None`` where the collection was created but never written to."""
        payload = self._store.retrieve([_CARD_ID]).get(_CARD_ID)
        return None if payload is None else IndexCard.from_payload(payload, self.name)

    def write_card(self, card: IndexCard) -> None:
        """Write the card; done once, before the first chunk."""
        self._store.upsert([Point(_CARD_ID, card.to_payload())])

    def documents(self) -> Iterator[DocumentRecord]:
        """Go through the records of all documents."""
        for _, payload in self._store.scroll(Filter({"kind": "document"})):
            yield document_from_payload(payload)

    def chunks_of(self, source: str) -> list[Chunk]:
        """Read a document's chunks in their order."""
        where = Filter({"kind": "chunk", "source": source})
        chunks = [chunk_from_payload(id, payload) for id, payload in self._store.scroll(where)]
        return sorted(chunks, key=lambda chunk: (chunk.position, chunk.id.int))

    def chunk_counts(self) -> dict[str, int]:
        """Count the chunks of every source, of those without a record as well."""
        return self._store.count_by("source", Filter({"kind": "chunk"}))

    def dense_vectors(self, ids: Sequence[UUID]) -> dict[UUID, Vectors]:
        """Read the dense vectors of chunks."""
        return self._store.vectors(ids)

    def write_chunks(
        self, chunks: Sequence[Chunk], dense: Vectors, bm25: Sequence[SparseVector]
    ) -> None:
        """Write chunks with their vectors, ``dense`` of shape (n, d)."""
        self._store.upsert(
            [
                Point(chunk.id, chunk_payload(chunk), vector, sparse)
                for chunk, vector, sparse in zip(chunks, dense, bm25, strict=True)
            ]
        )

    def update_chunks(self, chunks: Sequence[Chunk]) -> None:
        """Write anew what is stored beside the vectors of chunks that exist."""
        self._store.overwrite_payloads({chunk.id: chunk_payload(chunk) for chunk in chunks})

    def write_document(self, record: DocumentRecord) -> None:
        """Write a document's record: from here on the document counts as ingested."""
        self._store.upsert([Point(record.id, document_payload(record))])

    def remove_document(self, source: str) -> int:
        """Remove a document, record first: chunks that are left over without one are swept later.

        Returns how many chunks went.
        """
        self._store.delete([document_id(source)])
        ids = [id for id, _ in self._store.scroll(Filter({"kind": "chunk", "source": source}))]
        self.remove(ids)
        return len(ids)

    def document(self, source: str) -> DocumentRecord | None:
        """Read one document's record."""
        id = document_id(source)
        payload = self._store.retrieve([id]).get(id)
        return None if payload is None else document_from_payload(payload)

    def remove(self, ids: Sequence[UUID]) -> None:
        """Remove chunks or records."""
        if ids:
            self._store.delete(ids)

    def search(self, legs: Sequence[Leg], depth: int) -> list[list[Scored]]:
        """Rank chunks by each leg, in one engine call."""
        return self._store.search(legs, depth)

    def chunks(self, ids: Sequence[UUID]) -> list[Chunk]:
        """Read chunks in the order of their ids; one that is gone meanwhile is left out."""
        payloads = self._store.retrieve(ids)
        return [chunk_from_payload(id, payloads[id]) for id in ids if id in payloads]

    def count(self, kind: str) -> int:
        """Count the points of a kind: ``chunk`` or ``document``."""
        return self._store.count(Filter({"kind": kind}))

    def close(self) -> None:
        """Release the store."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
