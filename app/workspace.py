"""What the web page works on: the index, open for several threads, and the work beside it.

Knows nothing of the page itself; each method is one thing that a person does there.
"""

import ipaddress
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.answer import Answer
from app.failures import Failures
from app.jobs import Jobs
from app.labels import Labels
from app.settings import Settings
from app.uploads import Uploads
from app.wiring import Application, user_path
from ingest.loaders.isolation import Workers
from ingest.loaders.page_image import draw_page
from retrieval.catalog import Versions
from retrieval.collection import Collection
from retrieval.errors import ConfigurationError, DocumentError
from retrieval.filters import Filter
from retrieval.options import SearchOptions
from retrieval.retriever import Retriever
from retrieval.store.card import IndexCard
from retrieval.types import Chunk, DocumentRecord, Hit, Sentence

DocumentState = Literal["ready", "changed", "gone", "failed"]

_COUNTED = 50_000  # passages, all of which are read to count a key of a person's own
_PICTURES = 48  # pages that are kept
_PAGE_WIDTH = 1400  # pixels


@dataclass(frozen=True, slots=True)
class Searched:
    """One search: what was asked, how, what came out, and how long the retriever took."""

    question: str
    options: SearchOptions
    hits: tuple[Hit, ...]
    seconds: float
    marks: Mapping[str, Sequence[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document in the list.

    Attributes
    ----------
    state
        ``changed`` where the file looks other than when it was ingested, ``gone`` where it is no
        more; these are hints: only ingestion compares content. ``failed`` where it was not read.
    path
        Where the file lies, or lay.
    reason
        Why it failed.
    """

    source: str
    title: str
    state: DocumentState
    chunks: int
    pages: int | None
    size: int
    at: str
    path: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """A collection as the index page shows it."""

    card: IndexCard
    versions: Versions
    documents: int
    chunks: int
    stray: int
    size: int | None
    fits: bool


class Workspace:
    """One index and its people.

    Parameters
    ----------
    settings
        The encoder among them is replaced when a re-indexing brings another one.
    """

    def __init__(self, settings: Settings) -> None:
        self.application = Application(settings, shared=True)
        self.jobs = Jobs()
        self._searching = threading.Lock()
        self._retrievers: dict[str, tuple[tuple[int, int], Retriever]] = {}
        self._pages: Workers | None = None
        self._pictures: OrderedDict[object, bytes] = OrderedDict()
        self._drawing = threading.Lock()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.application.settings

    @property
    def alone(self) -> bool:
        """Whether only people at this machine reach the page: they may read what they name."""
        return is_loopback(self.settings.ui_host)

    def close(self) -> None:
        """End what runs, and let go of the index."""
        self.jobs.close()
        if self._pages is not None:
            self._pages.__exit__(InterruptedError, None, None)
        self.application.catalog.close()

    # Searching

    def names(self) -> list[str]:
        """List the collections."""
        return self.application.catalog.names()

    @contextmanager
    def opened(self, name: str) -> Iterator[Collection]:
        """Use a collection for a moment."""
        with self.application.catalog.open(name, brief=True) as collection:
            yield collection

    @contextmanager
    def retrieving(self, name: str) -> Iterator[Retriever]:
        """Use a collection's retriever, one thread at a time; a changed collection gets a new one.

        Stemmers and rerankers keep state while they work.
        """
        with self.opened(name) as collection, self._searching:
            known = self._retrievers.get(name)
            state = collection.serial, collection.writes
            if known is None or known[0] != state:
                known = (state, self.application.retriever(collection))
                self._retrievers[name] = known
            yield known[1]

    def search(self, name: str, question: str, asked: Mapping[str, Any]) -> Searched:
        """Search, with the numbers behind each score; ``asked`` as for `Application.retriever`."""
        with self.retrieving(name) as retriever:
            options = self.application.options(retriever.tuned, asked)
            start = time.perf_counter()
            hits = retriever.retrieve(question, options, explain=True, closest=False)
            seconds = time.perf_counter() - start
            marks = {str(hit.chunk.id): retriever.matches(question, hit.chunk.text) for hit in hits}
        return Searched(question, options, tuple(hits), seconds, marks)

    def closest(self, name: str, question: str, chunk: Chunk) -> Sentence | None:
        """Find the sentence of a passage that is closest to a question."""
        with self.retrieving(name) as retriever:
            return retriever.closest(question, chunk)

    def neighbours(self, name: str, chunk: Chunk, reach: int) -> tuple[list[Chunk], list[Chunk]]:
        """Read the passages around one."""
        with self.opened(name) as collection:
            return collection.neighbours(chunk, reach)

    def facets(self, name: str, keys: Sequence[str]) -> dict[str, dict[str, int]]:
        """Count passages by the values of keys, and of the documents' own metadata.

        Those of a person have no index that counts, so large collections are spared them.
        """
        with self.opened(name) as collection:
            own = collection.metadata_keys() if collection.count("chunk") <= _COUNTED else []
            wanted = [*keys, *own]
            return {key: collection.facets(key, Filter()) for key in wanted}

    def metadata_keys(self, name: str) -> list[str]:
        """List the keys of people's own metadata."""
        with self.opened(name) as collection:
            return collection.metadata_keys()

    def changes(self, name: str) -> tuple[int, int]:
        """Tell a state of a collection from others: its opening, and how often it was written."""
        with self.opened(name) as collection:
            return collection.serial, collection.writes

    def answer(
        self, name: str, question: str, history: Sequence[Answer], told: Callable[[str], None]
    ) -> Answer:
        """Answer a question; see `Answerer.answer`.

        The collection is let go of before the answer is written, which may take minutes.
        """
        application = self.application

        def retrieve(asked: str, options: SearchOptions | None) -> list[Hit]:
            with self.opened(name) as collection:
                retriever = application.retriever(collection, **application.answer_options({}))
                return retriever.retrieve(asked, options)

        return application.answering(retrieve).answer(question, history, told=told)

    # Pages and texts

    def file_of(self, name: str, source: str) -> Path | None:
        """Where a document's file lies on this machine; ``None`` where it does not."""
        with self.opened(name) as collection:
            record = collection.document(source)
        path = Path(record.root, record.source) if record else None
        return path if path is not None and path.is_file() else None

    def page(self, path: Path, number: int, chunk: Chunk | None = None) -> bytes:
        """Draw a page of a PDF, with a passage marked.

        Raises
        ------
        DocumentError
            If it cannot be drawn.
        """
        boxes = chunk.provenance.boxes if chunk else ()
        try:
            key = (path, path.stat().st_mtime_ns, number, boxes)
        except OSError as error:
            raise DocumentError(f"{path} cannot be read: {error.strerror}", "gone") from error
        with self._drawing:
            if key not in self._pictures:
                if self._pages is None:
                    settings = self.settings
                    self._pages = Workers(
                        1, settings.parse_seconds, settings.parse_memory_mb, parsers=False
                    )
                drawn = self._pages.submit(draw_page, path, number, boxes, _PAGE_WIDTH)
                self._pictures[key] = self._pages.result(drawn)
                while len(self._pictures) > _PICTURES:
                    self._pictures.popitem(last=False)
            self._pictures.move_to_end(key)
            return self._pictures[key]

    def text_of(self, name: str, source: str) -> list[Chunk]:
        """Read a document's passages."""
        with self.opened(name) as collection:
            return collection.chunks_of(source)

    # Documents

    def documents(self, name: str) -> list[DocumentRow]:
        """List documents and failures, by source."""
        failures = Failures(self.settings.data_dir, name).read()
        records: list[DocumentRecord] = []
        if self.application.catalog.exists(name):
            with self.opened(name) as collection:
                records = list(collection.documents())
        rows = {record.source: _row(record) for record in records}
        for failure in failures.values():
            known = rows.get(failure.source)
            if known and known.path != failure.path:  # another file of the same name
                known, source = None, failure.path
            else:
                source = failure.source
            rows[source] = DocumentRow(
                source,
                known.title if known else "",
                "failed",
                known.chunks if known else 0,
                known.pages if known else None,
                known.size if known else 0,
                failure.at,
                failure.path,
                failure.reason,
            )
        return sorted(rows.values(), key=lambda row: row.source)

    def delete(self, name: str, sources: Sequence[str]) -> int:
        """Remove documents, and their files where they were uploaded; how many passages went."""
        uploads, failures = self.uploads(name), Failures(self.settings.data_dir, name)
        chunks = 0
        rows = {row.source: row for row in self.documents(name)}
        for source in sources:
            if self.application.catalog.exists(name):
                with self.opened(name) as collection:
                    chunks += collection.remove_document(source)
            path = rows[source].path if source in rows else ""
            failures.forget(path or source)
            if path:
                uploads.remove(Path(path))
        return chunks

    def uploads(self, name: str) -> Uploads:
        """The uploaded files of a collection."""
        return Uploads(self.settings.data_dir, name)

    def labels(self, name: str) -> Labels:
        """The judgements of a collection."""
        return Labels(self.settings.data_dir, name)

    def folder(self, text: str) -> Path:
        """Read a folder that a visitor names.

        Raises
        ------
        ConfigurationError
            If it is none, or not one that the page may read.
        """
        if not text.strip():
            raise ConfigurationError("name a folder, such as ~/Documents")
        allowed = self.settings.ui_folder
        try:
            path = user_path(text.strip())
            inside = allowed is None or path.resolve().is_relative_to(allowed.resolve())
            there = path.exists()
        except (OSError, ValueError) as error:  # too long, or a NUL in it
            raise ConfigurationError(f"{text[:80]}: that is no path; check it") from error
        if allowed is None and not self.alone:
            raise ConfigurationError(
                "this page is open to other machines, so it reads no folders of this one: set "
                "TWOTOWER_UI_FOLDER to the one that it may read"
            )
        if not inside:
            raise ConfigurationError(f"{text}: only folders below {allowed} may be read from here")
        if not there:
            raise ConfigurationError(f"{text}: no such file or folder; check the path")
        return path

    # The index

    def overview(self, name: str) -> Overview:
        """Describe a collection."""
        catalog = self.application.catalog
        versions = catalog.versions(name)
        with self.opened(name) as collection:
            card = collection.card()
            counts = collection.chunk_counts()
            told = {record.source: record.chunks for record in collection.documents()}
        stray = sum(abs(counts.get(s, 0) - told.get(s, 0)) for s in counts.keys() | told.keys())
        fits = card.encoder.fingerprint == self.application.model().fingerprint
        return Overview(
            card, versions, len(told), sum(counts.values()), stray, catalog.size(name), fits
        )

    def rollback(self, name: str) -> Versions:
        """Go back to the version before, and to its encoder where that is another one."""
        versions = self.application.catalog.rollback(name)
        with self.opened(name) as collection:
            encoder = collection.card().encoder
        if encoder.fingerprint != self.application.model().fingerprint:
            self.application = self.with_encoder(encoder.name)
        return versions

    def with_encoder(self, name: str) -> Application:
        """Make the application with another encoder, over the same open collections."""
        other = Application(self.settings.model_copy(update={"encoder": name}))
        other.model()  # it is there, or this says so
        other.catalog = self.application.catalog
        return other


def _row(record: DocumentRecord) -> DocumentRow:
    path = Path(record.root, record.source)
    state: DocumentState = "ready"
    try:
        if path.stat().st_size != record.size:
            state = "changed"
    except OSError:
        state = "gone"
    return DocumentRow(
        record.source,
        record.title,
        state,
        record.chunks,
        record.pages,
        record.size,
        record.ingested_at,
        os.fspath(path),
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
