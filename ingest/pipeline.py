"""Files into a collection: parse and chunk in worker processes, encode here, write in a thread.

For each document, the new chunks are written first, then its record (the commit), and then the
chunks of its old content are removed. A run that is killed at any point leaves every document
searchable, and the next run completes it: `ingest.sync` describes how it finds unfinished work.
"""

import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pebble import ProcessFuture

from twotower.ingest.chunking import ChunkSettings
from twotower.ingest.elements import Limits
from twotower.ingest.loaders.isolation import Workers
from twotower.ingest.reading import PreparedDocument, Reader, prepare
from twotower.ingest.recent import RecentVectors
from twotower.ingest.report import FileOutcome, IngestObserver, Status
from twotower.ingest.sync import Plan, PlannedFile
from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.digest import document_checksum
from twotower.retrieval.index.replicate import commit_document
from twotower.retrieval.legs import Leg
from twotower.retrieval.models.model_folder import ModelFolder
from twotower.retrieval.vocabulary.documents import Chunk, DocumentRecord
from twotower.retrieval.vocabulary.errors import DocumentError, ServiceError
from twotower.retrieval.vocabulary.ranking import LegName
from twotower.retrieval.vocabulary.vectors import Rows, Vector

_GROUP_CHUNKS = 256  # encoded and written together: enough to sort by length, little to lose
_FIRST_CHUNKS = 32  # of the first part of a new collection
_WRITES_AHEAD = 2  # groups that wait to be written; this bounds the memory
READ = ("add", "change", "rename")  # actions for which a file is read
_WITHOUT_TEXT = ("no-text", "empty")


@dataclass(frozen=True, slots=True)
class _Document:
    """A document in progress: its old chunks and its new ones.

    ``reused`` names new chunks whose vectors are taken from another document.
    """

    file: PlannedFile
    prepared: PreparedDocument
    old: Mapping[UUID, Chunk]
    reused: AbstractSet[UUID] = frozenset()

    @property
    def new(self) -> list[Chunk]:
        return [chunk for chunk in self.prepared.chunks if chunk.id not in self.old]


class Pipeline:
    """One ingestion into one collection.

    Parameters
    ----------
    collection
        The open collection, or ``None`` where it does not exist yet: ``create`` makes it with the
        first document that can be read, so that a run in which every file fails leaves nothing.
    create
        Function from a card to a new collection.
    legs
        Function that makes the legs: it is called with the first passages of a new collection, or
        with none for a collection that exists.
    model
        The encoder's files; its tokenizer measures the chunks.
    now
        Function that returns the time for ``ingested_at``, on which no decision depends.
    observer
        Notified of the progress.
    """

    def __init__(
        self,
        collection: Collection | None,
        create: Callable[[IndexCard], Collection],
        legs: Callable[[Sequence[str]], Mapping[LegName, Leg]],
        model: ModelFolder,
        settings: ChunkSettings,
        limits: Limits,
        now: Callable[[], datetime],
        observer: IngestObserver,
    ) -> None:
        self.collection = collection
        self.seconds = {"read": 0.0, "encode": 0.0, "write": 0.0}
        self._create = create
        self._make_legs = legs
        self._legs: Mapping[LegName, Leg] = legs(()) if collection is not None else {}
        self._model = model
        self._settings = settings
        self._limits = limits
        self._now = now
        self._observer = observer
        self._failure: Exception | None = None
        self._recent: defaultdict[LegName, RecentVectors] = defaultdict(RecentVectors)

    def run(
        self,
        plan: Plan,
        workers: Workers,
        prune: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[FileOutcome]:
        """Ingest every file; yield one outcome for each, as soon as it is committed.

        Parameters
        ----------
        prune
            True to remove documents whose files are gone.
        should_stop
            Function that is called before each file. Once it returns True, the files in progress
            are committed, and no others are begun.
        """
        with ThreadPoolExecutor(1, "writer") as writer:
            self._writer = writer
            self._writing: deque[Future[list[FileOutcome]]] = deque()
            if self.collection is not None:
                for source in plan.leftovers:
                    self.collection.remove_document(source)
            read = [file for file in plan.files if file.action in READ]
            for file in plan.files:
                if file.action not in READ:
                    yield self._settled(file)
            yield from self._brought_in(read, workers, should_stop)
            yield from self._written(0)
            if prune and not should_stop() and self.collection is not None:
                for record in plan.gone:
                    self.collection.remove_document(record.source)
                    yield FileOutcome(record.source, "removed", chunks=record.chunks)

    def _brought_in(
        self, files: Sequence[PlannedFile], workers: Workers, should_stop: Callable[[], bool]
    ) -> Iterator[FileOutcome]:
        """Read files and bring them in, group by group."""

        def submit(file: PlannedFile) -> "ProcessFuture[PreparedDocument]":
            return workers.submit(prepare, file, self._model.path, self._settings, self._limits)

        group: list[tuple[PlannedFile, PreparedDocument]] = []
        waiting = time.perf_counter()
        for result in Reader(submit, workers, self._observer).results(files, should_stop):
            self.seconds["read"] += time.perf_counter() - waiting
            if result is None:  # a file takes long: bring in what is ready
                yield from self._bring_in(group)
                yield from self._written(_WRITES_AHEAD)
                group = []
            elif isinstance(result[1], DocumentError):
                yield self._failed(result[0], result[1])
            else:
                group.append((result[0], result[1]))
                if sum(len(document.chunks) for _, document in group) >= _GROUP_CHUNKS:
                    yield from self._bring_in(group)
                    group = []
            waiting = time.perf_counter()
        yield from self._bring_in(group)

    def _settled(self, file: PlannedFile) -> FileOutcome:
        """The outcome of a file that needs no parsing: unreadable, unchanged or relocated."""
        if file.error is not None or file.record is None:
            return self._failed(file, file.error or DocumentError("the file was not planned"))
        if self.collection is None or (file.action == "keep" and not file.record.outdated):
            return FileOutcome(file.source, "unchanged", chunks=file.record.chunks)
        record = replace(file.record, root=os.fspath(file.root), replaces="", outdated="")
        self._in_writer(self.collection.write_document, record)
        status: Status = "unchanged" if file.action == "keep" else "moved"
        return FileOutcome(file.source, status, chunks=file.record.chunks)

    def _failed(self, file: PlannedFile, error: DocumentError) -> FileOutcome:
        """Report a file that cannot be read, and settle what the index has of it.

        A file without text loses its passages. Otherwise they stay, marked as out of date.
        """
        kind, reason = error.kind, str(error)
        if self.collection is not None and file.record is not None:
            if kind in _WITHOUT_TEXT:
                self._in_writer(self.collection.remove_document, file.source)
                reason += "; its earlier text was removed from the index"
            else:
                record = replace(file.record, outdated=reason)
                self._in_writer(self.collection.write_document, record)
                reason += "; its earlier text stays in the index, marked as out of date"
        return FileOutcome(file.source, "failed", kind=kind, reason=reason)

    def _bring_in(
        self, group: Sequence[tuple[PlannedFile, PreparedDocument]]
    ) -> Iterator[FileOutcome]:
        """Bring in several documents; the first ones in small parts, to be found early."""
        if not group:
            return
        parts: Sequence[Sequence[tuple[PlannedFile, PreparedDocument]]] = [group]
        if self.collection is None:
            self.collection = self._created([prepared for _, prepared in group])
            parts = _growing(group)
        for part in parts:
            yield from self._bring_in_together(self.collection, part)

    def _bring_in_together(
        self, collection: Collection, group: Sequence[tuple[PlannedFile, PreparedDocument]]
    ) -> Iterator[FileOutcome]:
        """Encode the new chunks of several documents at once; the writer commits each document."""
        documents = [
            _Document(file, prepared, self._old_chunks(collection, file))
            for file, prepared in group
        ]
        reused = self._twin_vectors(collection, documents)
        new = [chunk for document in documents for chunk in document.new]
        for start in range(0, len(new), _GROUP_CHUNKS):
            chunks = new[start : start + _GROUP_CHUNKS]
            encoded = self._encoded(chunks, reused)
            self._write(self._write_chunks, collection, chunks, encoded)
            yield from self._written(_WRITES_AHEAD)
        ids = reused.keys()
        self._write(self._commit, collection, [replace(d, reused=ids) for d in documents])

    def _old_chunks(self, collection: Collection, file: PlannedFile) -> dict[UUID, Chunk]:
        """Return every chunk of a source in the collection, committed or not."""
        old = self._in_writer(collection.chunks_of, file.source) if file.stored else []
        return {chunk.id: chunk for chunk in old}

    def _twin_vectors(
        self, collection: Collection, documents: Sequence[_Document]
    ) -> dict[UUID, dict[LegName, Vector]]:
        """Find vectors for chunks of renamed and copied files: those of chunks with the same text.

        The file's name is encoded with its chunks where the title lacks its words, so these vectors
        still contain the old name. Sparse vectors are cheap: they are computed, with the new name.
        """
        vectors: dict[UUID, dict[LegName, Vector]] = {}
        for document in documents:
            if document.file.twin is None:
                continue
            twins = {
                (chunk.text, chunk.provenance.headings): chunk.id
                for chunk in self._in_writer(collection.chunks_of, document.file.twin.source)
            }
            stored = {
                name: self._in_writer(collection.vectors, name, list(twins.values()))
                for name in self._costly_legs
            }
            for chunk in document.new:
                twin = twins.get((chunk.text, chunk.provenance.headings))
                own = {name: found[twin] for name, found in stored.items() if twin in found}
                if own and len(own) == len(stored):
                    vectors[chunk.id] = own
        return vectors

    @property
    def _costly_legs(self) -> list[LegName]:
        """Legs whose vectors a network computes."""
        return [name for name, leg in self._legs.items() if leg.card.kind != "sparse"]

    def _encoded(
        self, chunks: Sequence[Chunk], reused: Mapping[UUID, Mapping[LegName, Vector]]
    ) -> dict[LegName, list[Vector]]:
        """Encode chunks for the costly legs; the writer does it for the others."""
        texts = [chunk.encoded_text for chunk in chunks if chunk.id not in reused]
        if texts:
            self._observer.busy(f"encoding {len(texts)} passages")
        encoded: dict[LegName, list[Vector]] = {}
        with self._timed("encode"):
            for name in self._costly_legs:
                rows = iter(self._recent[name].encode(self._legs[name], texts))
                encoded[name] = [
                    reused[chunk.id][name] if chunk.id in reused else next(rows) for chunk in chunks
                ]
        self._observer.encoded(len(texts))
        return encoded

    def _in_writer(self, call: Callable[..., Any], *arguments: object) -> Any:
        """Call the collection in the writer's thread, the only one that uses the engine."""
        return self._writer.submit(call, *arguments).result()

    def _write(self, step: Callable[..., list[FileOutcome]], *arguments: object) -> None:
        self._writing.append(self._writer.submit(self._unless_failed, step, *arguments))

    def _unless_failed(
        self, step: Callable[..., list[FileOutcome]], *arguments: object
    ) -> list[FileOutcome]:
        """Do nothing after a write has failed: no record may be written without its chunks."""
        if self._failure is not None:
            raise self._failure
        try:
            return step(*arguments)
        except Exception as error:
            self._failure = error
            raise

    def _written(self, most: int) -> Iterator[FileOutcome]:
        """Yield outcomes of finished writes; wait until at most ``most`` are unfinished."""
        while self._writing and (len(self._writing) > most or self._writing[0].done()):
            yield from self._writing.popleft().result()

    def _write_chunks(
        self,
        collection: Collection,
        chunks: Sequence[Chunk],
        encoded: Mapping[LegName, Rows],
    ) -> list[FileOutcome]:
        with self._timed("write"):
            texts = [chunk.encoded_text for chunk in chunks]
            vectors: dict[LegName, Rows] = {
                name: encoded[name] if name in encoded else leg.encode_passages(texts)
                for name, leg in self._legs.items()
            }
            collection.write_chunks(chunks, vectors)
        return []

    def _commit(self, collection: Collection, documents: Sequence[_Document]) -> list[FileOutcome]:
        if not collection.is_live():
            raise ServiceError(
                f"collection '{collection.name}' was replaced by another version during the run: "
                "run again to ingest what is missing there"
            )
        with self._timed("write"):
            return [self._commit_one(collection, document) for document in documents]

    def _commit_one(self, collection: Collection, document: _Document) -> FileOutcome:
        file, prepared = document.file, document.prepared
        record = DocumentRecord(
            source=file.source,
            root=os.fspath(file.root),
            title=prepared.title,
            content_hash=file.content_hash,
            size=file.size,
            chunks=len(prepared.chunks),
            pages=prepared.pages,
            ingested_at=self._now().isoformat(timespec="seconds"),
            replaces=file.twin.source if file.action == "rename" and file.twin else "",
            checksum=document_checksum(prepared.chunks),
            warnings=prepared.warnings,
        )
        commit_document(collection, record, prepared.chunks, document.old)
        if record.replaces:
            collection.remove_document(record.replaces)
            collection.write_document(replace(record, replaces=""))
        status: Status = "added" if file.record is None else "changed"
        if file.action == "rename":
            status = "moved"
        embedded = sum(chunk.id not in document.reused for chunk in document.new)
        size, pages = len(prepared.chunks), prepared.pages or 0
        return FileOutcome(file.source, status, size, embedded, pages, warnings=prepared.warnings)

    def _created(self, documents: Sequence[PreparedDocument]) -> Collection:
        """Create the collection, with legs that are made for its first passages."""
        self._observer.busy("loading the encoder")
        texts = [chunk.encoded_text for document in documents for chunk in document.chunks]
        self._legs = self._make_legs(texts)
        legs = tuple(leg.card for leg in self._legs.values())
        return self._create(IndexCard(legs, self._settings.to_card()))

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - start


def _growing(
    group: Sequence[tuple[PlannedFile, PreparedDocument]],
) -> list[list[tuple[PlannedFile, PreparedDocument]]]:
    """Divide a group into parts of which each has more chunks than the one before."""
    parts: list[list[tuple[PlannedFile, PreparedDocument]]] = [[]]
    enough = _FIRST_CHUNKS
    for file, prepared in group:
        if sum(len(document.chunks) for _, document in parts[-1]) >= enough:
            parts.append([])
            enough *= 2
        parts[-1].append((file, prepared))
    return parts
