"""Files into a collection: parse and cut in worker processes, encode here, write in a thread.

The order of writes for one document is: new chunks in, then its record (the commit), then chunks of
its old content out. A run that dies at any point leaves every document searchable, and the next one
converges: see `ingest.sync` for how it knows what was left behind.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from pebble import ProcessFuture

from ingest.chunking import ChunkSettings, chunk_document
from ingest.discover import content_hash
from ingest.elements import Limits
from ingest.loaders import FORMATS, load
from ingest.loaders.isolation import Workers
from ingest.metadata import read_metadata
from ingest.replicate import commit_document
from ingest.report import FileOutcome, Status, Watcher
from ingest.sync import Plan, PlannedFile
from retrieval.collection import Collection
from retrieval.encoder import Encoder
from retrieval.errors import DocumentError, ServiceError
from retrieval.lexical import Bm25, Bm25Settings, fitted
from retrieval.model_folder import ModelFolder, load_tokenizer
from retrieval.store.card import EncoderCard, IndexCard
from retrieval.types import Chunk, DocumentRecord
from retrieval.vectors import Vectors

_GROUP_CHUNKS = 256  # encoded and written together: enough to sort by length, little to lose
_READ_AHEAD = 64  # files in the workers' hands: more chunks than a group has, or it would wait
_WRITES_AHEAD = 2  # groups that wait to be written: what bounds the memory


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """What a worker returns: a document's chunks and what its record will say."""

    title: str
    pages: int | None
    chunks: tuple[Chunk, ...]


def prepare(
    file: PlannedFile, model_folder: Path, settings: ChunkSettings, limits: Limits
) -> PreparedDocument:
    """Read a file and cut it into chunks; runs in a worker process.

    Raises
    ------
    DocumentError
        If the file cannot be read, or is no longer what it was when the run was planned.
    """
    path = file.path
    if path.suffix.lower() not in FORMATS:
        raise DocumentError(
            f"no loader reads '{path.suffix or path.name}' files: convert it, or leave it out",
            "unsupported",
        )
    document = load(path, limits)
    if content_hash(path, path.stat().st_size + 1)[0] != file.content_hash:
        raise DocumentError("the file changed while it was read: run again", "changed")
    metadata = read_metadata(path, document.front_matter)
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    chunks = tuple(
        replace(chunk, metadata=metadata, provenance=replace(chunk.provenance, modified=modified))
        for chunk in chunk_document(file.source, document, load_tokenizer(model_folder), settings)
    )
    return PreparedDocument(document.title, document.pages, chunks)


@dataclass(frozen=True, slots=True)
class _Document:
    """A document on its way in: what it was, what it is to be."""

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
        Open, or ``None`` where it does not exist yet: ``create`` makes it with the first document
        that can be read, so that a run in which all fail leaves nothing behind.
    create
        From a card to a new collection.
    encoder
        Makes the encoder when the first chunk has to be encoded.
    now
        The clock for ``ingested_at``, which no decision depends on.
    watcher
        Told how the work gets on.
    """

    def __init__(
        self,
        collection: Collection | None,
        create: Callable[[IndexCard], Collection],
        encoder: Callable[[], Encoder],
        model: ModelFolder,
        settings: ChunkSettings,
        bm25: Bm25Settings,
        limits: Limits,
        now: Callable[[], datetime],
        watcher: Watcher,
    ) -> None:
        self.collection = collection
        self.seconds = {"read": 0.0, "encode": 0.0, "write": 0.0}
        self._create = create
        self._encoder = encoder
        self._model = model
        self._settings = settings
        self._bm25 = bm25
        self._limits = limits
        self._now = now
        self._watcher = watcher
        self._broken: Exception | None = None

    def run(
        self,
        plan: Plan,
        workers: Workers,
        prune: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[FileOutcome]:
        """Bring every file in; one outcome for each, as soon as it is committed.

        Parameters
        ----------
        prune
            Whether documents whose files are gone are removed.
        stopped
            Asked before each file: once it says so, what is in hand is committed, and no more.
        """
        with ThreadPoolExecutor(1, "writer") as writer:
            self._writer = writer
            self._writing: deque[Future[list[FileOutcome]]] = deque()
            if self.collection is not None:
                for source in plan.leftovers:
                    self.collection.remove_document(source)
            group: list[tuple[PlannedFile, PreparedDocument]] = []
            for file, prepared in self._prepared(plan.files, workers, stopped):
                if isinstance(prepared, FileOutcome):
                    yield prepared
                    continue
                group.append((file, prepared))
                if sum(len(document.chunks) for _, document in group) >= _GROUP_CHUNKS:
                    yield from self._bring_in(group)
                    group = []
            yield from self._bring_in(group)
            yield from self._written(0)
            if prune and not stopped() and self.collection is not None:
                for record in plan.gone:
                    self.collection.remove_document(record.source)
                    yield FileOutcome(record.source, "removed", chunks=record.chunks)

    def _prepared(
        self, planned: Sequence[PlannedFile], workers: Workers, stopped: Callable[[], bool]
    ) -> Iterator[tuple[PlannedFile, PreparedDocument | FileOutcome]]:
        """Results in the order of the plan; so many files are read ahead that none waits long."""
        ahead: deque[tuple[PlannedFile, ProcessFuture[PreparedDocument]]] = deque()
        todo = deque(planned)
        while (todo or ahead) and not stopped():
            while todo and len(ahead) < _READ_AHEAD:
                file = todo.popleft()
                if file.action in ("add", "change", "rename"):
                    ahead.append((file, self._submitted(file, workers)))
                else:
                    yield file, self._settled(file)
            if ahead:
                file, future = ahead.popleft()
                self._watcher.reading(file.source)
                with self._timed("read"):
                    prepared = _outcome_of(file, future, workers)
                yield file, prepared
        for _, future in ahead:
            future.cancel()  # type: ignore[no-untyped-call]

    def _submitted(self, file: PlannedFile, workers: Workers) -> "ProcessFuture[PreparedDocument]":
        return workers.submit(prepare, file, self._model.path, self._settings, self._limits)

    def _settled(self, file: PlannedFile) -> FileOutcome:
        """What needs no parsing: a file that cannot be read, is unchanged, or only relocated."""
        if file.error is not None or file.record is None:
            return _failed(file.source, file.error or DocumentError("was not planned"))
        if file.action == "keep" or self.collection is None:
            return FileOutcome(file.source, "unchanged", chunks=file.record.chunks)
        record = replace(file.record, root=os.fspath(file.root), replaces="")
        self._asked(self.collection.write_document, record)
        return FileOutcome(file.source, "moved", chunks=file.record.chunks)

    def _bring_in(
        self, group: Sequence[tuple[PlannedFile, PreparedDocument]]
    ) -> Iterator[FileOutcome]:
        """Encode what is new of several documents at once; the writer commits them one by one."""
        if not group:
            return
        if self.collection is None:
            self.collection = self._created([prepared for _, prepared in group])
        collection = self.collection
        documents = [
            _Document(file, prepared, self._old_chunks(collection, file))
            for file, prepared in group
        ]
        known = self._twin_vectors(collection, documents)
        new = [chunk for document in documents for chunk in document.new]
        for start in range(0, len(new), _GROUP_CHUNKS):
            chunks = new[start : start + _GROUP_CHUNKS]
            dense = self._encoded(chunks, known)
            self._write(self._write_chunks, collection, chunks, dense)
            yield from self._written(_WRITES_AHEAD)
        self._write(self._commit, collection, [replace(d, reused=known.keys()) for d in documents])

    def _old_chunks(self, collection: Collection, file: PlannedFile) -> dict[UUID, Chunk]:
        """Every chunk that the collection has of a source, committed or not."""
        old = self._asked(collection.chunks_of, file.source) if file.stored else []
        return {chunk.id: chunk for chunk in old}

    def _twin_vectors(
        self, collection: Collection, documents: Sequence[_Document]
    ) -> dict[UUID, Vectors]:
        """Vectors for chunks of renamed and copied files, from the chunks with the same text.

        The file's name is encoded with its chunks where the title lacks its words, so these vectors
        still know the old name; the BM25 vectors are made anew and know the new one.
        """
        vectors: dict[UUID, Vectors] = {}
        for document in documents:
            if document.file.twin is None:
                continue
            twins = {
                (chunk.text, chunk.provenance.headings): chunk.id
                for chunk in self._asked(collection.chunks_of, document.file.twin.source)
            }
            found = self._asked(collection.dense_vectors, list(twins.values()))
            for chunk in document.new:
                twin = twins.get((chunk.text, chunk.provenance.headings))
                if twin in found:
                    vectors[chunk.id] = found[twin]
        return vectors

    def _encoded(self, chunks: Sequence[Chunk], known: Mapping[UUID, Vectors]) -> Vectors:
        unknown = [chunk.encoded_text for chunk in chunks if chunk.id not in known]
        if unknown:
            self._watcher.busy(f"encoding {len(unknown)} passages")
        with self._timed("encode"):
            encoded = iter(self._encoder().encode_passages(unknown) if unknown else ())
        rows = [known[c.id] if c.id in known else next(encoded) for c in chunks]
        self._watcher.encoded(len(unknown))
        return np.stack(rows)

    def _asked(self, call: Callable[..., Any], *arguments: object) -> Any:
        """Call the collection in the writer's turn: one thread alone talks to the engine."""
        return self._writer.submit(call, *arguments).result()

    def _write(self, step: Callable[..., list[FileOutcome]], *arguments: object) -> None:
        self._writing.append(self._writer.submit(self._unless_broken, step, *arguments))

    def _unless_broken(
        self, step: Callable[..., list[FileOutcome]], *arguments: object
    ) -> list[FileOutcome]:
        """Do nothing after a write has failed: no record may be written without its chunks."""
        if self._broken is not None:
            raise self._broken
        try:
            return step(*arguments)
        except Exception as error:
            self._broken = error
            raise

    def _written(self, most: int) -> Iterator[FileOutcome]:
        """Outcomes of the writes that are done, waiting until at most so many are not."""
        while self._writing and (len(self._writing) > most or self._writing[0].done()):
            yield from self._writing.popleft().result()

    def _write_chunks(
        self, collection: Collection, chunks: Sequence[Chunk], dense: Vectors
    ) -> list[FileOutcome]:
        with self._timed("write"):
            bm25 = Bm25(self._bm25)
            sparse = [bm25.encode_passage(chunk.encoded_text) for chunk in chunks]
            collection.write_chunks(chunks, dense, sparse)
        return []

    def _commit(self, collection: Collection, documents: Sequence[_Document]) -> list[FileOutcome]:
        if not collection.is_live():
            raise ServiceError(
                f"collection '{collection.name}' was replaced by another version meanwhile: run "
                "again, and what is missing there comes in"
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
        )
        commit_document(collection, record, prepared.chunks, document.old)
        if record.replaces:
            collection.remove_document(record.replaces)
            collection.write_document(replace(record, replaces=""))
        status: Status = "added" if file.record is None else "changed"
        if file.action == "rename":
            status = "moved"
        embedded = sum(chunk.id not in document.reused for chunk in document.new)
        return FileOutcome(file.source, status, len(prepared.chunks), embedded, prepared.pages or 0)

    def _created(self, documents: Sequence[PreparedDocument]) -> Collection:
        """Create the collection; the mean length of its first passages sets BM25's ``avg_len``."""
        self._watcher.busy("loading the encoder")
        encoder = self._encoder()
        texts = [chunk.encoded_text for document in documents for chunk in document.chunks]
        self._bm25 = fitted(self._bm25, texts)
        return self._create(
            IndexCard(
                encoder=EncoderCard.of(self._model, encoder.dimension),
                bm25=self._bm25,
                chunking=self._settings.to_card(),
            )
        )

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - start


def _outcome_of(
    file: PlannedFile, future: "ProcessFuture[PreparedDocument]", workers: Workers
) -> PreparedDocument | FileOutcome:
    try:
        prepared: PreparedDocument = workers.result(future)
    except DocumentError as error:
        return _failed(file.source, error)
    return prepared


def _failed(source: str, error: DocumentError) -> FileOutcome:
    return FileOutcome(source, "failed", kind=error.kind, reason=str(error))
