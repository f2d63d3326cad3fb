"""A collection of documents: what the points of a `Store` mean.

A collection has points of three kinds: ``chunk`` (vectors and payload), ``document`` (payload
only: the record of a source file, and the commit of its chunks) and one ``card``.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

import numpy as np

from retrieval.errors import ConfigurationError, IndexMismatch
from retrieval.filters import KEYS, Condition, Filter, where
from retrieval.store.card import IndexCard
from retrieval.store.payload import (
    chunk_from_payload,
    chunk_payload,
    document_from_payload,
    document_payload,
)
from retrieval.store.protocol import INDEXES, IndexKind, Leg, Point, Store
from retrieval.types import Chunk, DocumentRecord, Scored, SparseVector, document_id
from retrieval.vectors import Vectors

_SERIALS = itertools.count()
_CARD_ID = UUID("00000000-0000-0000-0000-000000000001")


class Collection:
    """Chunks and document records over a store; close it, or use it as a context manager.

    Parameters
    ----------
    is_live
        Whether this is still the version that searches go to.

    Attributes
    ----------
    released
        What `close` does: it closes the store, unless others use this object as well.
    writes
        How often chunks were written or removed: what was learnt before may be wrong since.
    serial
        Of this object among all that this process has opened.
    """

    def __init__(self, name: str, store: Store, is_live: Callable[[], bool] = lambda: True) -> None:
        self.name = name
        self.is_live = is_live
        self.released: Callable[[], None] = store.close
        self.writes = 0
        self.serial = next(_SERIALS)
        self._store = store
        self._indexed: set[str] = set()
        self._idf: dict[int, float] = {}  # of terms that were asked for since the last write

    def has_card(self) -> bool:
        """Whether there is a card: not where a creation was interrupted, or by something else."""
        return _CARD_ID in self._store.retrieve([_CARD_ID])

    def card(self) -> IndexCard:
        """Read the card.

        Raises
        ------
        IndexMismatch
            If there is none, or it was written by another version of the program.
        """
        payload = self._store.retrieve([_CARD_ID]).get(_CARD_ID)
        if payload is None:
            raise IndexMismatch(
                f"collection '{self.name}' has no card, so nothing tells what made its vectors: "
                "use another name (--collection NAME)"
            )
        return IndexCard.from_payload(payload, self.name)

    def write_card(self, card: IndexCard) -> None:
        """Write the card: before the first chunk, and when something was learnt about searching."""
        self._store.upsert([Point(_CARD_ID, card.to_payload())])

    def documents(self) -> Iterator[DocumentRecord]:
        """Go through the records of all documents."""
        for _, payload in self._store.scroll(where(kind="document")):
            yield document_from_payload(payload)

    def chunks_of(self, source: str) -> list[Chunk]:
        """Read a document's chunks in their order."""
        found = self._store.scroll(where(kind="chunk", source=source))
        chunks = [chunk_from_payload(id, payload) for id, payload in found]
        return sorted(chunks, key=lambda chunk: (chunk.position, chunk.id.int))

    def all_chunks(self) -> Iterator[Chunk]:
        """Go through all chunks, by id."""
        for id, payload in self._store.scroll(where(kind="chunk")):
            yield chunk_from_payload(id, payload)

    def chunk_counts(self) -> dict[str, int]:
        """Count the chunks of every source, of those without a record as well."""
        return self._store.count_by("source", where(kind="chunk"))

    def dense_vectors(self, ids: Sequence[UUID]) -> dict[UUID, Vectors]:
        """Read the dense vectors of chunks."""
        return self._store.vectors(ids)

    def write_chunks(
        self, chunks: Sequence[Chunk], dense: Vectors, bm25: Sequence[SparseVector]
    ) -> None:
        """Write chunks with their vectors, ``dense`` of shape (n, d)."""
        self._index_metadata(chunks)
        self._changed()
        self._store.upsert(
            [
                Point(chunk.id, chunk_payload(chunk), vector, sparse)
                for chunk, vector, sparse in zip(chunks, dense, bm25, strict=True)
            ],
            wait=False,  # the record that follows is the commit
        )

    def update_chunks(self, chunks: Sequence[Chunk]) -> None:
        """Write anew what is stored beside the vectors of chunks that exist."""
        self._index_metadata(chunks)
        self._store.overwrite_payloads({chunk.id: chunk_payload(chunk) for chunk in chunks})

    def write_document(self, record: DocumentRecord) -> None:
        """Write a document's record: from here on the document counts as ingested."""
        self._store.upsert([Point(record.id, document_payload(record))])

    def remove_document(self, source: str) -> int:
        """Remove a document, record first: chunks that are left over without one are swept later.

        Returns how many chunks went.
        """
        self._store.delete([document_id(source)])
        ids = [id for id, _ in self._store.scroll(where(kind="chunk", source=source))]
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
            self._changed()
            self._store.delete(ids)

    def search(self, legs: Sequence[Leg], depth: int) -> list[list[Scored]]:
        """Rank chunks by each leg, in one engine call."""
        return self._store.search(legs, depth)

    def chunks(self, ids: Sequence[UUID]) -> list[Chunk]:
        """Read chunks in the order of their ids; one that is gone meanwhile is left out."""
        payloads = self._store.retrieve(ids)
        return [chunk_from_payload(id, payloads[id]) for id in ids if id in payloads]

    def term_weights(self, ids: Sequence[UUID]) -> dict[UUID, SparseVector]:
        """Read the BM25 vectors of chunks."""
        return self._store.term_weights(ids)

    def idf(self, terms: Sequence[int]) -> dict[int, float]:
        """Tell the inverse document frequency of terms, of those that no chunk has as well.

        Notes
        -----
        ``ln(1 + (N - n + 0.5) / (n + 0.5))`` for ``n`` of ``N`` chunks, as the engine computes it.
        """
        known = self._idf  # a write that comes meanwhile puts another one in its place
        missing = [term for term in terms if term not in known]
        if missing:
            found = self._store.idf(missing)
            if len(found) < len(missing):
                absent = math.log(1 + (self.count("chunk") + 0.5) / 0.5)
                found = dict.fromkeys(missing, absent) | found
            known |= found
        return {term: known[term] for term in terms}

    def some_ids(self, size: int) -> list[UUID]:
        """List the first chunks by id, which is at random."""
        return [id for id, _ in itertools.islice(self._store.scroll(where(kind="chunk")), size)]

    def sample(self, size: int) -> Vectors:
        """Read the dense vectors of the first chunks by id, which is at random: (n, d) float32."""
        ids = self.some_ids(size)
        found = self._store.vectors(ids)
        rows = [found[id] for id in ids if id in found]
        return np.stack(rows) if rows else np.zeros((0, 1), dtype=np.float32)

    def neighbours(self, chunk: Chunk, reach: int) -> tuple[list[Chunk], list[Chunk]]:
        """Read the chunks before and after one in its document, at most ``reach`` on each side."""
        at = chunk.position
        near = Condition("position", range=(("gte", at - reach), ("lte", at + reach)))
        same = where(kind="chunk", source=chunk.provenance.source) & Filter((near,))
        found = [chunk_from_payload(id, payload) for id, payload in self._store.scroll(same)]
        found.sort(key=lambda other: (other.position, other.id.int))
        return [c for c in found if c.position < at], [c for c in found if c.position > at]

    def metadata_keys(self) -> list[str]:
        """List the keys that people's own metadata has in this collection."""
        return sorted(self._store.count_by("meta_keys", where(kind="chunk")))

    def facets(self, key: str, narrowed: Filter) -> dict[str, int]:
        """Count the chunks that match, by the values of a key, exactly; most frequent first.

        Raises
        ------
        ConfigurationError
            If documents have no such key.
        """
        own = self.metadata_keys()
        if key not in KEYS and key not in own:
            known = ", ".join([*KEYS, *own])
            raise ConfigurationError(f"no facet '{key}'; there are: {known}")
        within = where(kind="chunk") & narrowed
        if INDEXES.get(key) == "keyword":
            counts = self._store.count_by(key, within)
        else:  # numbers, dates, what may be both, and keys without an index
            counts = Counter()
            for _, payload in self._store.scroll(within):
                found = payload["meta"].get(key) if key in own else payload.get(key)
                for value in found if isinstance(found, list) else [found]:
                    if value is not None:
                        counts[_day(value) if KEYS.get(key) == "date" else str(value)] += 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def count(self, kind: str, narrowed: Filter | None = None) -> int:
        """Count the points of a kind: ``chunk`` or ``document``."""
        return self._store.count(where(kind=kind) & (narrowed or Filter()))

    def _index_metadata(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            for key, value in chunk.metadata.items():
                if key not in self._indexed:
                    self._indexed.add(key)
                    self._store.index(f"meta.{key}", _index_kind(value))

    def optimize(self) -> bool:
        """Build the index of dense vectors now; see `Store.optimize`."""
        return self._store.optimize()

    def close(self) -> None:
        """Release the store."""
        self.released()

    def _changed(self) -> None:
        self._idf = {}
        self.writes += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _day(moment: str) -> str:
    return moment[: len("2025-01-31")]


def _index_kind(value: str | float | tuple[str, ...]) -> IndexKind:
    if isinstance(value, int):
        return "integer"
    return "float" if isinstance(value, float) else "keyword"
