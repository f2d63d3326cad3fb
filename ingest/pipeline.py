"""Files into a collection: parse and cut in worker processes, encode and write in this one.

The order of writes for one document is: new chunks in, then its record (the commit), then chunks of
its old content out. A run that dies at any point leaves every document searchable, and the next one
converges.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pebble import ProcessFuture

from ingest.chunking import ChunkSettings, chunk_document
from ingest.elements import Limits
from ingest.loaders import FORMATS, load
from ingest.loaders.isolation import Workers
from ingest.report import FileOutcome, Status, Watcher
from ingest.sync import PlannedFile
from retrieval.collection import Collection
from retrieval.encoder import Encoder
from retrieval.errors import DocumentError
from retrieval.lexical import Bm25, Bm25Settings, count_terms
from retrieval.model_folder import ModelFolder, load_tokenizer
from retrieval.store.card import EncoderCard, IndexCard
from retrieval.types import Chunk, DocumentRecord

_GROUP_CHUNKS = 256  # encoded and written together: enough to sort by length, little to lose
_READ_AHEAD = 16  # files in the workers' hands


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """What a worker returns: a document's chunks and what its record will say."""

    title: str
    pages: int | None
    chunks: tuple[Chunk, ...]


def prepare(
    path: Path, source: str, model_folder: Path, settings: ChunkSettings, limits: Limits
) -> PreparedDocument:
    """Read a file and cut it into chunks; runs in a worker process.

    Raises
    ------
    DocumentError
        If the file cannot be read.
    """
    if path.suffix.lower() not in FORMATS:
        raise DocumentError(
            f"no loader reads '{path.suffix or path.name}' files: convert it, or leave it out",
            "unsupported",
        )
    document = load(path, limits)
    chunks = chunk_document(source, document, load_tokenizer(model_folder), settings)
    return PreparedDocument(document.title, document.pages, tuple(chunks))


class Pipeline:
    """One ingestion into one collection.

    Parameters
    ----------
    collection
        Open, or ``None`` where it does not exist yet: ``create`` makes it with the first document
        that can be read, so that a run in which all fail leaves nothing behind.
    create
        From the dimension of the vectors to a new collection.
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
        create: Callable[[int], Collection],
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

    def run(self, planned: Sequence[PlannedFile], workers: Workers) -> Iterator[FileOutcome]:
        """Bring every file in; one outcome for each, as soon as it is committed."""
        group: list[tuple[PlannedFile, PreparedDocument]] = []
        for file, prepared in self._prepared(planned, workers):
            if isinstance(prepared, FileOutcome):
                yield prepared
                continue
            group.append((file, prepared))
            if sum(len(document.chunks) for _, document in group) >= _GROUP_CHUNKS:
                yield from self._commit(group)
                group = []
        yield from self._commit(group)

    def _prepared(
        self, planned: Sequence[PlannedFile], workers: Workers
    ) -> Iterator[tuple[PlannedFile, PreparedDocument | FileOutcome]]:
        """Results in the order of the plan; so many files are read ahead that none waits long."""
        ahead: deque[tuple[PlannedFile, ProcessFuture[PreparedDocument]]] = deque()
        todo = deque(planned)
        while todo or ahead:
            while todo and len(ahead) < _READ_AHEAD:
                file = todo.popleft()
                if file.action in ("add", "change"):
                    ahead.append((file, self._submitted(file, workers)))
                else:
                    yield file, self._settled(file)
            if ahead:
                file, future = ahead.popleft()
                self._watcher.reading(file.source)
                with self._timed("read"):
                    prepared = _outcome_of(file, future, workers)
                yield file, prepared

    def _submitted(self, file: PlannedFile, workers: Workers) -> "ProcessFuture[PreparedDocument]":
        return workers.submit(
            prepare, file.path, file.source, self._model.path, self._settings, self._limits
        )

    def _settled(self, file: PlannedFile) -> FileOutcome:
        """What needs no parsing: a file that cannot be read, is unchanged, or only moved."""
        if file.error is not None:
            return _failed(file.source, file.error)
        assert file.record is not None
        if file.action == "move" and self.collection is not None:
            self.collection.write_document(replace(file.record, root=os.fspath(file.root)))
        return FileOutcome(file.source, "unchanged", chunks=file.record.chunks)

    def _commit(
        self, group: Sequence[tuple[PlannedFile, PreparedDocument]]
    ) -> Iterator[FileOutcome]:
        """Encode what is new of several documents at once, then commit them one by one."""
        if not group:
            return
        if self.collection is None:
            self.collection = self._created([document for _, document in group])
        collection = self.collection
        old = {
            file.source: {chunk.id: chunk for chunk in collection.chunks_of(file.source)}
            for file, _ in group
        }
        new = [
            chunk
            for file, document in group
            for chunk in document.chunks
            if chunk.id not in old[file.source]
        ]
        for start in range(0, len(new), _GROUP_CHUNKS):
            self._write_new(collection, new[start : start + _GROUP_CHUNKS])
        for file, document in group:
            with self._timed("write"):
                outcome = self._commit_one(collection, file, document, old[file.source])
            yield outcome

    def _write_new(self, collection: Collection, chunks: Sequence[Chunk]) -> None:
        texts = [chunk.encoded_text for chunk in chunks]
        with self._timed("encode"):
            dense = self._encoder().encode_passages(texts)
        with self._timed("write"):
            bm25 = Bm25(self._bm25)
            sparse = [bm25.encode_passage(text) for text in texts]
            collection.write_chunks(chunks, dense, sparse)
        self._watcher.encoded(len(chunks))

    def _commit_one(
        self,
        collection: Collection,
        file: PlannedFile,
        document: PreparedDocument,
        old: dict[UUID, Chunk],
    ) -> FileOutcome:
        kept = {chunk.id for chunk in document.chunks} & old.keys()
        collection.update_chunks([c for c in document.chunks if c.id in kept and c != old[c.id]])
        collection.write_document(
            DocumentRecord(
                source=file.source,
                root=os.fspath(file.root),
                title=document.title,
                content_hash=file.content_hash,
                size=file.size,
                chunks=len(document.chunks),
                pages=document.pages,
                ingested_at=self._now().isoformat(timespec="seconds"),
            )
        )
        collection.remove([id for id in old if id not in kept])
        status: Status = "added" if file.record is None else "changed"
        embedded = len(document.chunks) - len(kept)
        return FileOutcome(file.source, status, len(document.chunks), embedded)

    def _created(self, documents: Sequence[PreparedDocument]) -> Collection:
        """Create the collection; the mean length of its first passages sets BM25's ``avg_len``."""
        encoder = self._encoder()
        texts = [chunk.encoded_text for document in documents for chunk in document.chunks]
        terms = sum(count_terms(text, self._bm25.language) for text in texts)
        self._bm25 = replace(self._bm25, avg_len=round(max(terms / len(texts), 1.0), 1))
        collection = self._create(encoder.dimension)
        name, fingerprint = self._model.name, self._model.fingerprint
        collection.write_card(
            IndexCard(
                encoder=EncoderCard(name, fingerprint, encoder.dimension),
                bm25=self._bm25,
                chunking=self._settings.to_card(),
            )
        )
        return collection

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
