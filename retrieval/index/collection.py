"""A collection of documents: what the points of a `Store` mean.

A collection has points of three kinds: ``chunk`` (vectors and payload), ``document`` (payload
only: the record of a source file, and the commit of its chunks) and one ``card``.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import numpy as np

from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.index.ledger import Ledger
from twotower.retrieval.index.payload import (
    chunk_from_payload,
    chunk_payload,
    document_from_payload,
    document_payload,
)
from twotower.retrieval.index.store.protocol import (
    INDEXES,
    IndexKind,
    Point,
    Store,
    VectorQuery,
)
from twotower.retrieval.vocabulary.documents import Chunk, DocumentRecord, document_id
from twotower.retrieval.vocabulary.errors import ConfigurationError, IndexMismatch
from twotower.retrieval.vocabulary.filters import KEYS, Condition, Filter, where
from twotower.retrieval.vocabulary.ranking import Scored
from twotower.retrieval.vocabulary.vectors import Rows, Vectors

_SERIALS = itertools.count()
_CARD_ID = UUID("00000000-0000-0000-0000-000000000001")


class Collection:
    """Chunks and document records over a store; close it, or use it as a context manager.

    Parameters
    ----------
    is_live
        Function that returns whether this is still the live version.
    ledger
        The log of its documents, for a version in a folder.

    Attributes
    ----------
    released
        Function that `close` calls: it closes the store, unless other threads use this object.
    writes
        Number of writes and removals of chunks; cached values are stale after it changes.
    serial
        Number of this object among all collections that this process has opened.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        is_live: Callable[[], bool] = lambda: True,
        ledger: Ledger | None = None,
    ) -> None:
        self.name = name
        self.store = store
        self.ledger = ledger
        self.is_live = is_live
        self.released: Callable[[], None] = store.close
        self.writes = 0
        self.serial = next(_SERIALS)
        self._indexed: set[str] = set()
        self._idf: dict[str, dict[int, float]] = {}  # by leg, of terms read since the last write

    def has_card(self) -> bool:
        """Whether there is a card; there is none if the creation was interrupted."""
        return _CARD_ID in self.store.retrieve([_CARD_ID])

    def card(self) -> IndexCard:
        """Read the card.

        Raises
        ------
        IndexMismatch
            If there is none, or another version of twotower wrote it.
        """
        payload = self.store.retrieve([_CARD_ID]).get(_CARD_ID)
        if payload is None:
            raise IndexMismatch(
                f"collection '{self.name}' has no card, so nothing says what made its vectors: "
                "choose another collection"
            )
        return IndexCard.from_payload(payload, self.name)

    def write_card(self, card: IndexCard) -> None:
        """Write the card: before the first chunk, and after tuning or calibration."""
        self.writes += 1  # retrievers that were made for the old card are stale
        self.store.upsert([Point(_CARD_ID, card.to_payload())])
        if self.ledger is not None:
            self.ledger.add_card(card.to_payload())

    def documents(self) -> Iterator[DocumentRecord]:
        """Go through the records of all documents."""
        for _, payload in self.store.scroll(where(kind="document")):
            yield document_from_payload(payload)

    def chunks_of(self, source: str) -> list[Chunk]:
        """Read a document's chunks in their order."""
        found = self.store.scroll(where(kind="chunk", source=source))
        chunks = [chunk_from_payload(id, payload) for id, payload in found]
        return sorted(chunks, key=lambda chunk: (chunk.position, chunk.id.int))

    def all_chunks(self) -> Iterator[Chunk]:
        """Go through all chunks, by id."""
        for id, payload in self.store.scroll(where(kind="chunk")):
            yield chunk_from_payload(id, payload)

    def texts(self, narrowed: Filter) -> Iterator[tuple[UUID, str]]:
        """Go through the ids and texts of the chunks that match."""
        for id, payload in self.store.scroll(where(kind="chunk") & narrowed):
            yield id, chunk_from_payload(id, payload).text

    def chunk_counts(self) -> dict[str, int]:
        """Count the chunks of every source, also of sources without a record."""
        return self.store.count_by("source", where(kind="chunk"))

    def vectors(self, name: str, ids: Sequence[UUID]) -> dict[UUID, Any]:
        """Read the vectors that one leg has for chunks; those without one are left out.

        Returns
        -------
        dict[UUID, Any]
            By the kind of the leg: (d,) float32, (t, d) float32 or a `SparseVector`.
        """
        return self.store.vectors(name, ids)

    def write_chunks(self, chunks: Sequence[Chunk], vectors: Mapping[str, Rows]) -> None:
        """Write chunks with their vectors.

        Parameters
        ----------
        vectors
            For each leg by name, one vector for each chunk, in the order of ``chunks``.
        """
        self._index_metadata(chunks)
        self._changed()
        rows = zip(*vectors.values(), strict=True) if vectors else ((),) * len(chunks)
        self.store.upsert(
            [
                Point(chunk.id, chunk_payload(chunk), dict(zip(vectors, row, strict=True)))
                for chunk, row in zip(chunks, rows, strict=True)
            ],
            wait=False,  # the record that follows is the commit
        )

    def update_chunks(self, chunks: Sequence[Chunk]) -> None:
        """Replace the payloads of chunks that exist; their vectors stay."""
        self._index_metadata(chunks)
        self.store.overwrite_payloads({chunk.id: chunk_payload(chunk) for chunk in chunks})

    def write_document(self, record: DocumentRecord) -> None:
        """Write a document's record, which commits the document."""
        self.store.upsert([Point(record.id, document_payload(record))])
        if self.ledger is not None:
            self.ledger.add(record)

    def remove_document(self, source: str) -> int:
        """Remove a document and return the number of its chunks.

        The record is removed first; a later ingestion removes chunks that have no record.
        """
        if self.ledger is not None:
            self.ledger.remove(source)
        self.store.delete([document_id(source)])
        ids = [id for id, _ in self.store.scroll(where(kind="chunk", source=source))]
        self.remove(ids)
        return len(ids)

    def document(self, source: str) -> DocumentRecord | None:
        """Read one document's record."""
        id = document_id(source)
        payload = self.store.retrieve([id]).get(id)
        return None if payload is None else document_from_payload(payload)

    def outdated(self, sources: Sequence[str]) -> dict[str, str]:
        """Tell which of some documents are out of date: the reasons by source."""
        ids = [document_id(source) for source in set(sources)]
        records = map(document_from_payload, self.store.retrieve(ids).values())
        return {record.source: record.outdated for record in records if record.outdated}

    def remove(self, ids: Sequence[UUID]) -> None:
        """Remove chunks or records."""
        if ids:
            self._changed()
            self.store.delete(ids)

    def search(self, queries: Sequence[VectorQuery], depth: int) -> list[list[Scored]]:
        """Rank chunks by each query, in one engine call."""
        return self.store.search(queries, depth)

    def chunks(self, ids: Sequence[UUID]) -> list[Chunk]:
        """Read chunks in the order of ``ids``; chunks that were removed are left out."""
        payloads = self.store.retrieve(ids)
        return [chunk_from_payload(id, payloads[id]) for id in ids if id in payloads]

    def idf(self, name: str, terms: Sequence[int]) -> dict[int, float]:
        """Read the inverse document frequency of a sparse leg's terms, also of unknown terms.

        Notes
        -----
        ``ln(1 + (N - n + 0.5) / (n + 0.5))`` for ``n`` of ``N`` chunks, as the engine computes it.
        """
        known = self._idf.setdefault(name, {})  # a write at the same time starts a new one
        missing = [term for term in terms if term not in known]
        if missing:
            present = self.store.idf(name, missing)
            if len(present) < len(missing):
                present = dict.fromkeys(missing, self._idf_of_absent_terms()) | present
            known |= present
        return {term: known[term] for term in terms}

    def present_terms(self, name: str, terms: Sequence[int]) -> list[int]:
        """Return those of a sparse leg's terms that some chunk has."""
        most = self._idf_of_absent_terms() * (1 - 1e-6)
        return [term for term, idf in self.idf(name, terms).items() if idf < most]

    def _idf_of_absent_terms(self) -> float:
        return math.log(1 + (self.count("chunk") + 0.5) / 0.5)

    def some_ids(self, size: int) -> list[UUID]:
        """List the first chunks by id, which is a random sample."""
        return [id for id, _ in itertools.islice(self.store.scroll(where(kind="chunk")), size)]

    def sample(self, name: str, size: int) -> Vectors:
        """Read a dense leg's vectors of the first chunks by id, a random sample: (n, d) float32."""
        ids = self.some_ids(size)
        vectors = self.vectors(name, ids)
        rows = [vectors[id] for id in ids if id in vectors]
        return np.stack(rows) if rows else np.zeros((0, 1), dtype=np.float32)

    def neighbours(self, chunk: Chunk, reach: int) -> tuple[list[Chunk], list[Chunk]]:
        """Read the chunks before and after one in its document, at most ``reach`` on each side."""
        at = chunk.position
        near = Condition("position", range=(("gte", at - reach), ("lte", at + reach)))
        same = where(kind="chunk", source=chunk.provenance.source) & Filter((near,))
        found = [chunk_from_payload(id, payload) for id, payload in self.store.scroll(same)]
        found.sort(key=lambda other: (other.position, other.id.int))
        return [c for c in found if c.position < at], [c for c in found if c.position > at]

    def metadata_keys(self) -> list[str]:
        """List the keys of the documents' own metadata in this collection."""
        return sorted(self.store.count_by("meta_keys", where(kind="chunk")))

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
            counts = self.store.count_by(key, within)
        else:  # numbers, dates, values that may be both, and keys without an index
            counts = Counter()
            for _, payload in self.store.scroll(within):
                found = payload["meta"].get(key) if key in own else payload.get(key)
                for value in found if isinstance(found, list) else [found]:
                    if value is not None:
                        counts[_day(value) if KEYS.get(key) == "date" else str(value)] += 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def count(self, kind: str, narrowed: Filter | None = None) -> int:
        """Count the points of a kind: ``chunk`` or ``document``."""
        return self.store.count(where(kind=kind) & (narrowed or Filter()))

    def _index_metadata(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            for key, value in chunk.metadata.items():
                if key not in self._indexed:
                    self._indexed.add(key)
                    self.store.index(f"meta.{key}", _index_kind(value))

    def optimize(self) -> bool:
        """Build the index of dense vectors now; see `Store.optimize`."""
        return self.store.optimize()

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
    """Return the day of a moment in the zone of this machine, as filters have it."""
    return datetime.fromisoformat(moment).astimezone().date().isoformat()


def _index_kind(value: str | float | tuple[str, ...]) -> IndexKind:
    if isinstance(value, int):
        return "integer"
    return "float" if isinstance(value, float) else "keyword"
