"""Files read ahead in worker processes, and cut into chunks there."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pebble import ProcessFuture

from twotower.ingest.chunking import ChunkSettings, chunk_document
from twotower.ingest.discover import content_hash
from twotower.ingest.elements import Limits
from twotower.ingest.loaders import FORMATS, load
from twotower.ingest.loaders.isolation import Workers
from twotower.ingest.metadata import read_metadata
from twotower.ingest.report import IngestObserver
from twotower.ingest.sync import PlannedFile
from twotower.retrieval.models.model_folder import load_tokenizer
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import DocumentError

_AHEAD = 64  # files given to the workers: more chunks than one group, so that none waits
_PATIENCE = 1.0  # seconds until files are taken out of turn, and what is ready is brought in
_SLOW = 10.0  # seconds after which a file that is still being read is named


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """The result of a worker: a document's chunks, and what its record says about it."""

    title: str
    pages: int | None
    chunks: tuple[Chunk, ...]
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reading:
    """A file that was given to the workers; ``started`` is when it was first seen being read."""

    file: PlannedFile
    future: "ProcessFuture[PreparedDocument]"
    started: float = 0.0
    told: bool = False


def prepare(
    file: PlannedFile, model_folder: Path, settings: ChunkSettings, limits: Limits
) -> PreparedDocument:
    """Read a file and cut it into chunks; this runs in a worker process.

    Raises
    ------
    DocumentError
        If the file cannot be read, or has changed since the run was planned.
    """
    path = file.path
    if path.suffix.lower() not in FORMATS:
        raise DocumentError(
            f"no loader reads '{path.suffix or path.name}' files: convert or remove the file",
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
    return PreparedDocument(document.title, document.pages, chunks, document.warnings)


class Reader:
    """Reads files ahead of the encoder.

    Parameters
    ----------
    submit
        Function that gives a file to a worker, and returns its future.
    workers
        The pool, which turns a future into a document.
    observer
        Told which file the run waits for.
    """

    def __init__(
        self,
        submit: "Callable[[PlannedFile], ProcessFuture[PreparedDocument]]",
        workers: Workers,
        observer: IngestObserver,
    ) -> None:
        self._submit = submit
        self._workers = workers
        self._observer = observer
        self._ahead: deque[_Reading] = deque()
        self._awaited: PlannedFile | None = None

    def results(
        self, files: Sequence[PlannedFile], should_stop: Callable[[], bool]
    ) -> Iterator[tuple[PlannedFile, PreparedDocument | DocumentError] | None]:
        """Yield each file with its document, or the reason why it cannot be read.

        Files come in their order. Only where one takes long do those that are ready come before it;
        ``None`` says that no other file is ready either.
        """
        todo = deque(files)
        while (todo or self._ahead) and not should_stop():
            while todo and len(self._ahead) < _AHEAD:
                file = todo.popleft()
                self._ahead.append(_Reading(file, self._submit(file)))
            ready = self._ready()
            if ready is None:
                yield None
                continue
            self._ahead.remove(ready)
            try:
                yield ready.file, self._workers.result(ready.future)
            except DocumentError as error:
                yield ready.file, error
        for reading in self._ahead:
            reading.future.cancel()  # type: ignore[no-untyped-call]

    def _ready(self) -> _Reading | None:
        """Wait for the next file in turn; after a second take any that was read."""
        first = self._ahead[0]
        if first.file is not self._awaited:
            self._awaited = first.file
            self._observer.reading(first.file.source)
        if not first.future.done():
            wait([first.future], timeout=_PATIENCE)
            self._name_slow_files()
        return next((reading for reading in self._ahead if reading.future.done()), None)

    def _name_slow_files(self) -> None:
        now = time.monotonic()
        for reading in self._ahead:
            if not reading.future.running() or reading.future.done():
                continue
            reading.started = reading.started or now
            if now - reading.started >= _SLOW and not reading.told:
                reading.told = True
                self._observer.slow(reading.file.source, now - reading.started)
