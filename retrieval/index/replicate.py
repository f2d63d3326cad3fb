"""Copy one collection into another, document by document, for re-indexing, migration and backups.

It is `ingest.sync` with a collection in place of a folder. Differences are found by comparing
records and counts of chunks, and each document is committed as an ingestion commits it: first new
chunks are written, then the record, then chunks of the old content are removed. So a copy can be
killed anywhere and run again, and what is ingested into the source during the copy is copied in the
next round.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

from twotower.retrieval.index.card import IndexCard, LegCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.digest import point_digest
from twotower.retrieval.index.payload import chunk_payload, document_payload
from twotower.retrieval.index.store.protocol import VectorQuery
from twotower.retrieval.vocabulary.documents import Chunk, DocumentRecord
from twotower.retrieval.vocabulary.errors import ServiceError
from twotower.retrieval.vocabulary.filters import Filter
from twotower.retrieval.vocabulary.vectors import Rows, SparseVector, Vector

_READ_CHUNKS = 2048  # read while the source is open; it is closed while they are encoded
_WRITE_CHUNKS = 256
_SAMPLE = 20  # chunks whose vectors are searched for, before a version is published
_SAME = 0.99  # cosine of a vector with itself, after rounding and normalisation

OpenSource = Callable[[], AbstractContextManager["Source"]]
Encode = Callable[[Sequence[str]], Rows]


class Source(Protocol):
    """A collection that can be copied: a `Collection`, or a backup of one."""

    def card(self) -> IndexCard:
        """See `Collection.card`."""

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

    def vectors(self, name: str, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        """See `Collection.vectors`."""


class Target(Source, Protocol):
    """A collection that can be copied to."""

    def write_chunks(self, chunks: Sequence[Chunk], vectors: Mapping[str, Rows]) -> None:
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
    """The difference between a source and its copy.

    Attributes
    ----------
    changed
        Documents to be copied, with the number of their chunks.
    removed
        Sources that the copy has and the source has not: documents, or chunks without a record.
    """

    changed: Mapping[str, int]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)


def difference(source: Source, target: Source) -> Difference:
    """Compare two collections by their records and the number of chunks of each document."""
    records = {record.source: record for record in source.documents()}
    copied = {record.source: record for record in target.documents()}
    counts, copied_counts = source.chunk_counts(), target.chunk_counts()
    changed = {
        name: counts.get(name, 0)
        for name, record in sorted(records.items())
        if copied.get(name) != record or counts.get(name, 0) != copied_counts.get(name, 0)
    }
    removed = (copied.keys() | copied_counts.keys()) - records.keys()
    return Difference(changed, tuple(sorted(removed)))


def checksum(source: Source) -> str:
    """Sum of the SHA-256 digests of documents and their chunks, whatever their order."""
    total, committed = 0, set()
    for record in source.documents():
        committed.add(record.source)
        total += point_digest(record.id, document_payload(record))
    for chunk in source.all_chunks():
        if chunk.provenance.source in committed:  # the others are not copied
            total += point_digest(chunk.id, chunk_payload(chunk))
    return f"{total % 2**256:064x}"


@dataclass(frozen=True, slots=True)
class _Read:
    """One document of the source, with the vectors of the legs that are copied."""

    record: DocumentRecord
    chunks: list[Chunk]
    vectors: Mapping[str, Mapping[UUID, Vector]]


class Replica:
    """An unfinished copy of a collection.

    Parameters
    ----------
    open_source
        Function that opens the source for a moment.
    target
        Collection that only this process has open; its card names the legs.
    encode
        For each leg that is encoded again, by name, the function from texts to passage vectors.
        The vectors of the other legs are copied.
    progress
        Function that receives the number of chunks that are done, and of all chunks.

    Attributes
    ----------
    copied
        Number of chunks that are done.
    encoded
        Number of chunks for which a model was run, so none where only sparse vectors were made.
    """

    def __init__(
        self,
        open_source: OpenSource,
        target: Target,
        encode: Mapping[str, Encode] = MappingProxyType({}),
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        self._open_source = open_source
        self._target = target
        self._encode = encode
        self._progress = progress
        self._legs = target.card().legs
        self.copied = 0
        self.encoded = 0

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Copy until nothing differs; return False if ``should_stop`` returned True before."""
        return self._synchronise(self._open_source, should_stop)

    def synchronise(self, source: Source) -> None:
        """Copy until nothing differs from a source that the caller has open."""
        self._synchronise(lambda: nullcontext(source), lambda: False)

    def _synchronise(self, open_source: OpenSource, should_stop: Callable[[], bool]) -> bool:
        while True:
            with open_source() as source:
                todo = difference(source, self._target)
            if not todo:
                return True
            total = self.copied + sum(todo.changed.values())
            self._progress(self.copied, total)
            for name in todo.removed:
                self._target.remove_document(name)
            for names in _batches(todo.changed):
                if should_stop():
                    return False
                with open_source() as source:
                    documents = self._read(source, names)
                self._write(documents, total)

    def follow(self, source: Source, before: Mapping[str, DocumentRecord]) -> None:
        """Copy what changed in the source since ``before``, unless it changed in the target too.

        It is for the moment after a version was published: other processes may write to both.
        """
        now = {record.source: record for record in source.documents()}
        changed = [
            name
            for name in sorted(now.keys() | before.keys())
            if now.get(name) != before.get(name) and self._target.document(name) == before.get(name)
        ]
        for name in changed:
            if name not in now:
                self._target.remove_document(name)
        self._write(self._read(source, [name for name in changed if name in now]), self.copied)

    def _read(self, source: Source, names: Sequence[str]) -> list[_Read]:
        copied = [leg.name for leg in self._legs if leg.name not in self._encode]
        documents = []
        for record in filter(None, map(source.document, names)):  # some may be removed by now
            chunks = source.chunks_of(record.source)
            ids = [chunk.id for chunk in chunks]
            vectors = {name: source.vectors(name, ids) for name in copied}
            if any(len(of_leg) < len(ids) for of_leg in vectors.values()):
                raise ServiceError(
                    f"chunks of '{record.source}' have no vectors to copy: ingest the document "
                    "again first"
                )
            documents.append(_Read(record, chunks, vectors))
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
            self._target.write_chunks([chunk for _, chunk in group], self._vectors(group))
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

    def _vectors(self, group: Sequence[tuple[_Read, Chunk]]) -> dict[str, Rows]:
        texts = [chunk.encoded_text for _, chunk in group]
        vectors: dict[str, Rows] = {}
        for leg in self._legs:
            if leg.name in self._encode:
                vectors[leg.name] = self._encode[leg.name](texts)
            else:
                vectors[leg.name] = [
                    document.vectors[leg.name][chunk.id] for document, chunk in group
                ]
        if any(leg.kind != "sparse" and leg.name in self._encode for leg in self._legs):
            self.encoded += len(group)
        return vectors


def commit_document(
    target: Target, record: DocumentRecord, chunks: Sequence[Chunk], old: Mapping[UUID, Chunk]
) -> None:
    """Commit a document whose new chunks are written: write its record, then remove old chunks.

    Parameters
    ----------
    old
        All chunks that the target had of the document before. For those that stay, the payload is
        written first where it changed.
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
    """Search for some of a collection's own chunks, on every leg.

    Raises
    ------
    ServiceError
        If a chunk is not found by its own vectors.
    """
    ids = collection.some_ids(_SAMPLE)
    for leg in collection.card().legs:
        vectors = collection.vectors(leg.name, ids)
        for id in ids:
            fault = _fault(collection, leg, id, vectors.get(id))
            if fault:
                raise ServiceError(
                    f"the new version of '{collection.name}' is damaged: chunk {id} {fault}. It "
                    "was not published; run the command again"
                )


def _fault(collection: Collection, leg: LegCard, id: UUID, vector: Vector | None) -> str:
    """Say what is wrong with a chunk's vector on one leg; empty if nothing is."""
    own = Filter(ids=(id,))
    if isinstance(vector, SparseVector) or leg.kind == "sparse":
        if not (isinstance(vector, SparseVector) and vector.indices):
            return ""  # a text without terms
        (itself,) = collection.search([VectorQuery(leg.name, vector, own)], 1)
        found = bool(itself) and itself[0].score > 0
    else:
        if vector is None:
            return f"has no vector '{leg.name}'"
        best, itself = collection.search(
            [VectorQuery(leg.name, vector), VectorQuery(leg.name, vector, own)], 1
        )
        rows = len(vector) if leg.kind == "multi" else 1  # MaxSim is the sum over the rows
        found = bool(best and itself) and min(best[0].score, itself[0].score) >= _SAME * rows
    return "" if found else f"is not found by its own vector '{leg.name}'"
