"""One ingestion as the command line and the web page run it: plan, guard, pipeline, report."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from app.failures import Failures
from app.wiring import Application, utc_now
from ingest.chunking import ChunkSettings
from ingest.discover import Discovery, discover
from ingest.elements import Limits
from ingest.loaders import readable_suffixes
from ingest.loaders.isolation import Workers
from ingest.pipeline import Pipeline
from ingest.report import FileOutcome, IngestReport, Watcher
from ingest.sync import Plan, plan
from retrieval.errors import ConfigurationError
from retrieval.lexical import Bm25Settings, check_language
from retrieval.model_folder import count_tokens
from retrieval.store.card import IndexCard

_LEAST_CHUNK = 32  # tokens


class Ingestion:
    """Brings what lies below some paths into a collection; a context manager.

    Parameters
    ----------
    paths
        Files and folders.
    name
        The collection; made when the first document can be read.

    Attributes
    ----------
    discovery
        What lies below the paths, and which of them lead nowhere.
    plan
        What is to be done with each file, and which documents are gone.

    Raises
    ------
    IndexMismatch
        If the collection was built by another encoder, or cut otherwise.
    ServiceError
        If the data directory cannot be written to, or the collection is open elsewhere.
    """

    def __init__(
        self,
        application: Application,
        paths: Sequence[Path],
        name: str,
        watcher: Watcher | None = None,
    ) -> None:
        self._application = application
        self._name = name
        self._watcher = watcher or Watcher()
        self._outcomes: list[FileOutcome] = []
        self.discovery: Discovery = discover(
            paths,
            readable_suffixes(),
            application.settings.hidden,
            application.settings.gitignore,
            application.settings.data_dir,
        )
        check_language(application.settings.language)
        with ExitStack() as opening:  # closed here only if what follows fails
            self._close = opening
            self._close.enter_context(application.catalog.reserved(name))
            self._pipeline = self._opened()
            collection = self._pipeline.collection
            self.plan: Plan = plan(
                self.discovery,
                collection.documents() if collection else (),
                collection.chunk_counts() if collection else {},
                application.settings.max_file_mb * 2**20,
            )
            self._close = opening.pop_all()

    def run(
        self, prune: bool = False, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[FileOutcome]:
        """Do the work; see `Pipeline.run`."""
        settings = self._application.settings
        workers = Workers(
            self._application.parse_workers(), settings.parse_seconds, settings.parse_memory_mb
        )
        with workers:
            try:
                for outcome in self._pipeline.run(self.plan, workers, prune, stopped):
                    self._outcomes.append(outcome)
                    yield outcome
            finally:
                paths = {file.source: file.path for file in self.plan.files}
                Failures(settings.data_dir, self._name).record(
                    [(outcome, paths.get(outcome.source)) for outcome in self._outcomes],
                    utc_now().isoformat(timespec="seconds"),
                )

    def report(self) -> IngestReport:
        """Sum up what happened so far."""
        collection = self._pipeline.collection
        total = 0 if collection is None else collection.count("chunk")
        removed = {o.source for o in self._outcomes if o.status == "removed"}
        gone = tuple(record.source for record in self.plan.gone if record.source not in removed)
        return IngestReport(tuple(self._outcomes), total, gone, self._pipeline.seconds)

    def build_index(self) -> bool:
        """Build the index of a collection that has grown large; whether it was done.

        Nothing else runs in this process meanwhile: not for one that serves.
        """
        collection, threshold = (
            self._pipeline.collection,
            self._application.settings.index_threshold,
        )
        grown = any(outcome.embedded for outcome in self._outcomes)
        if not (collection and threshold and grown) or collection.count("chunk") < threshold:
            return False
        self._watcher.busy("building an index")
        return collection.optimize()

    def _opened(self) -> Pipeline:
        application, settings = self._application, self._application.settings
        chunking = chunk_settings(application)
        collection, bm25 = None, Bm25Settings(language=settings.language)
        if application.catalog.exists(self._name):
            collection = self._close.enter_context(application.catalog.open(self._name))
            card = collection.card()
            chunking = chunk_settings(application, card)
            card.require(self._name, application.model(), chunking.to_card(), settings.language)
            bm25 = card.bm25
        return Pipeline(
            collection=collection,
            create=lambda card: self._close.enter_context(
                application.catalog.create(self._name, card)
            ),
            encoder=application.encoder,
            model=application.model(),
            settings=chunking,
            bm25=bm25,
            limits=Limits(settings.max_pages, settings.max_expanded_mb, settings.max_expansion),
            now=utc_now,
            watcher=self._watcher,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close.close()


def chunk_settings(application: Application, card: IndexCard | None = None) -> ChunkSettings:
    """How documents are cut for the encoder in the settings.

    Parameters
    ----------
    card
        Of a collection that has documents: they decide what the settings leave open.

    Raises
    ------
    ConfigurationError
        If the encoder does not read so much, or chunks would be too small.
    """
    settings, window = application.settings, application.model().window
    prompt = count_tokens(application.model())
    tokens = (settings.chunk_tokens or window) - prompt
    window -= prompt
    if card is not None and not settings.chunk_tokens:
        tokens = card.chunking["chunk_tokens"]
    if tokens > window:
        raise ConfigurationError(
            f"TWOTOWER_CHUNK_TOKENS is {tokens}, but encoder {settings.encoder} reads only "
            f"{window} tokens: the rest of each chunk would not be found"
        )
    if tokens < _LEAST_CHUNK or settings.overlap_tokens > tokens // 2:
        raise ConfigurationError(
            f"chunks of {tokens} tokens with an overlap of {settings.overlap_tokens}: use at "
            f"least {_LEAST_CHUNK} tokens, and an overlap of at most half of them"
        )
    return ChunkSettings(tokens, settings.overlap_tokens, strategy=settings.chunking)
