"""One collection into another, document by document: what re-indexing and migration are made of.

It is `ingest.sync` with a collection in place of a folder. What differs is found by comparing
records and counts of chunks, and each document is committed as an ingestion commits it: new chunks
in, then the record, then chunks of the old content out. So it can be killed anywhere and run again,
and what is ingested into the first collection meanwhile comes over in the next round.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import numpy as np

from retrieval.collection import Collection
from retrieval.errors import ServiceError
from retrieval.filters import Filter
from retrieval.store.payload import chunk_payload, document_payload
from retrieval.store.protocol import Leg
from retrieval.types import Chunk, DocumentRecord, SparseVector
from retrieval.vectors import Vectors

_READ_CHUNKS = 2048  # read while the source is held: it is let go of while they are encoded
_WRITE_CHUNKS = 256
_SAMPLE = 20  # chunks whose vectors are searched for, before a version goes live
_SAME = 0.99  # cosine of a vector with itself, after rounding and normalisation

Opens = Callable[[], AbstractContextManager["Source"]]


class Source(Protocol):
    """What can be copied: a `Collection`, or a backup of one."""

    def documents(self) -> Iterator[DocumentRecord]:
        """See `Collection.documents`."""

    def document(self, source: str) -> DocumentRecord | None:
        """See `Collection.document`."""

    def chunk_counts(self) -> dict[str, int]:
        """See `Collection.chunk_counts`."""

    def chunks_of(self, source: str) -> list[Chunk]:
        """See `Collection.chunks_of`."""

    def all_chunks(self) -> Iterator[Chunk]:
        """See `Collection.all_chunks`."""

    def dense_vectors(self, ids: Sequence[UUID]) -> dict[UUID, Vectors]:
        """See `Collection.dense_vectors`."""

    def term_weights(self, ids: Sequence[UUID]) -> dict[UUID, SparseVector]:
        """See `Collection.term_weights`."""


class Target(Source, Protocol):
    """What can be copied to."""

    def write_chunks(
        self, chunks: Sequence[Chunk], dense: Vectors, bm25: Sequence[SparseVector]
    ) -> None:
        """See `Collection.write_chunks`."""

    def update_chunks(self, chunks: Sequence[Chunk]) -> None:
        """See `Collection.update_chunks`."""

    def write_document(self, record: DocumentRecord) -> None:
        """See `Collection.write_document`."""

    def remove(self, ids: Sequence[UUID]) -> None:
        """See `Collection.remove`."""

    def remove_document(self, source: str) -> int:
        """See `Collection.remove_document`."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What one collection lacks of another.

    Attributes
    ----------
    changed
        Documents to be copied, with the number of their chunks.
    gone
        Documents, and names of chunks without a record, to be removed.
    """

    changed: Mapping[str, int]
    gone: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.changed or self.gone)


def difference(source: Source, target: Source) -> Difference:
    """Compare two collections by their records and the number of chunks of each document."""
    wanted = {record.source: record for record in source.documents()}
    copied = {record.source: record for record in target.documents()}
    counts, there = source.chunk_counts(), target.chunk_counts()
    changed = {
        name: counts.get(name, 0)
        for name, record in sorted(wanted.items())
        if copied.get(name) != record or counts.get(name, 0) != there.get(name, 0)
    }
    return Difference(changed, tuple(sorted((copied.keys() | there.keys()) - wanted.keys())))


def checksum(source: Source) -> str:
    """SHA-256 sums of ids and payloads of documents and their chunks, whatever their order."""
    total, known = 0, set()
    for record in source.documents():
        known.add(record.source)
        total += _digest(record.id, document_payload(record))
    for chunk in source.all_chunks():
        if chunk.provenance.source in known:  # the others were never committed, and are not copied
            total += _digest(chunk.id, chunk_payload(chunk))
    return f"{total % 2**256:064x}"


def _digest(id: UUID, payload: Mapping[str, object]) -> int:
    content = json.dumps([str(id), payload], sort_keys=True, ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(content.encode()).digest(), "big")


@dataclass(frozen=True, slots=True)
class _Read:
    """One document as read: its vectors where they are copied."""

    record: DocumentRecord
    chunks: list[Chunk]
    dense: Mapping[UUID, Vectors]
    bm25: Mapping[UUID, SparseVector]


class Replica:
    """A copy in the making.

    Parameters
    ----------
    opens
        Opens the source for a moment.
    target
        Held by this process alone.
    encode
        From texts to passage vectors, (n, d) float32; ``None`` copies them.
    weigh
        From a text to its BM25 vector; ``None`` copies it.
    progress
        Told how many chunks are done, and how many there are to do.
    """

    def __init__(
        self,
        opens: Opens,
        target: Target,
        encode: Callable[[Sequence[str]], Vectors] | None = None,
        weigh: Callable[[str], SparseVector] | None = None,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        self._opens = opens
        self._target = target
        self._encode = encode
        self._weigh = weigh
        self._progress = progress
        self.copied = 0
        self.encoded = 0

    def run(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Copy until nothing differs; whether that was reached before ``stopped`` said so."""
        return self._level(self._opens, stopped)

    def level(self, source: Source) -> None:
        """Copy until nothing differs from a source that the caller holds."""
        self._level(lambda: nullcontext(source), lambda: False)

    def _level(self, opens: Opens, stopped: Callable[[], bool]) -> bool:
        while True:
            with opens() as source:
                todo = difference(source, self._target)
            if not todo:
                return True
            total = self.copied + sum(todo.changed.values())
            self._progress(self.copied, total)
            for name in todo.gone:
                self._target.remove_document(name)
            for names in _batches(todo.changed):
                if stopped():
                    return False
                with opens() as source:
                    documents = self._read(source, names)
                self._write(documents, total)

    def follow(self, source: Source, before: Mapping[str, DocumentRecord]) -> None:
        """Take over what was done to the source since ``before``, where nothing was done here.

        For the moment after a version went live: others may write to either one.
        """
        now = {record.source: record for record in source.documents()}
        touched = [
            name
            for name in sorted(now.keys() | before.keys())
            if now.get(name) != before.get(name) and self._target.document(name) == before.get(name)
        ]
        for name in touched:
            if name not in now:
                self._target.remove_document(name)
        self._write(self._read(source, [name for name in touched if name in now]), self.copied)

    def _read(self, source: Source, names: Sequence[str]) -> list[_Read]:
        documents = []
        for record in filter(None, map(source.document, names)):  # one may be gone meanwhile
            chunks = source.chunks_of(record.source)
            ids = [chunk.id for chunk in chunks]
            dense = {} if self._encode else source.dense_vectors(ids)
            bm25 = {} if self._weigh else source.term_weights(ids)
            if (not self._encode and len(dense) < len(ids)) or (
                not self._weigh and len(bm25) < len(ids)
            ):
                raise ServiceError(
                    f"chunks of '{record.source}' have no vectors to copy: ingest it anew first"
                )
            documents.append(_Read(record, chunks, dense, bm25))
        return documents

    def _write(self, documents: Sequence[_Read], total: int) -> None:
        old = {d.record.source: self._old_chunks(d.record.source) for d in documents}
        new = [
            (document, chunk)
            for document in documents
            for chunk in document.chunks
            if chunk.id not in old[document.record.source]
        ]
        before = self.copied
        for start in range(0, len(new), _WRITE_CHUNKS):
            group = new[start : start + _WRITE_CHUNKS]
            self._target.write_chunks(
                [chunk for _, chunk in group],
                self._dense(group),
                [self._bm25(document, chunk) for document, chunk in group],
            )
            self.copied += len(group)
            self._progress(self.copied, total)
        for document in documents:
            commit_document(
                self._target, document.record, document.chunks, old[document.record.source]
            )
        self.copied = before + sum(len(document.chunks) for document in documents)
        self._progress(self.copied, total)

    def _old_chunks(self, name: str) -> dict[UUID, Chunk]:
        return {chunk.id: chunk for chunk in self._target.chunks_of(name)}

    def _dense(self, group: Sequence[tuple[_Read, Chunk]]) -> Vectors:
        if self._encode is None:
            return np.stack([document.dense[chunk.id] for document, chunk in group])
        self.encoded += len(group)
        return self._encode([chunk.encoded_text for _, chunk in group])

    def _bm25(self, document: _Read, chunk: Chunk) -> SparseVector:
        return self._weigh(chunk.encoded_text) if self._weigh else document.bm25[chunk.id]


def commit_document(
    target: Target, record: DocumentRecord, chunks: Sequence[Chunk], old: Mapping[UUID, Chunk]
) -> None:
    """Commit a document whose new chunks are in: its record, then chunks of its old content out.

    Parameters
    ----------
    old
        Every chunk that the target had of it before; of those that stay, what changed beside the
        vectors is written first.
    """
    kept = {chunk.id for chunk in chunks} & old.keys()
    target.update_chunks([c for c in chunks if c.id in kept and c != old[c.id]])
    target.write_document(record)
    target.remove([id for id in old if id not in kept])


def _batches(changed: Mapping[str, int]) -> Iterator[list[str]]:
    batch: list[str] = []
    chunks = 0
    for name, count in changed.items():
        batch.append(name)
        chunks += count
        if chunks >= _READ_CHUNKS:
            yield batch
            batch, chunks = [], 0
    if batch:
        yield batch


def check_searches(collection: Collection) -> None:
    """Search for some of a collection's own chunks, on both legs.

    Raises
    ------
    ServiceError
        If one is not found by its own vectors.
    """
    ids = collection.some_ids(_SAMPLE)
    dense, bm25 = collection.dense_vectors(ids), collection.term_weights(ids)
    for id in ids:
        if id not in dense:
            raise _broken(collection, id, "has no dense vector")
        legs = [Leg(dense[id]), Leg(dense[id], Filter(ids=(id,)))]
        if bm25.get(id) and bm25[id].indices:
            legs.append(Leg(bm25[id], Filter(ids=(id,))))
        best, itself, *lexical = collection.search(legs, 1)
        if not best or not itself or min(best[0].score, itself[0].score) < _SAME:
            raise _broken(collection, id, "is not found by its own dense vector")
        if lexical and not (lexical[0] and lexical[0][0].score > 0):
            raise _broken(collection, id, "is not found by its own words")


def _broken(collection: Collection, id: UUID, what: str) -> ServiceError:
    return ServiceError(
        f"the new version of '{collection.name}' does not answer as it should: chunk {id} {what}; "
        "it was not put live, run again"
    )
