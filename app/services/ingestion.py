"""One ingestion, as the command line and the web page run it: plan, checks, pipeline, report."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Self

from twotower.app.services.failures import Failures
from twotower.app.settings import Settings
from twotower.app.wiring import Application, utc_now
from twotower.ingest.chunking import ChunkSettings
from twotower.ingest.discover import Discovery, discover
from twotower.ingest.loaders import needs_unstructured, readable_suffixes
from twotower.ingest.loaders.isolation import LOADERS, PARSERS, Workers
from twotower.ingest.pipeline import READ, Pipeline
from twotower.ingest.report import FileOutcome, IngestObserver, IngestReport
from twotower.ingest.sync import Plan, plan
from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.legs import Leg, Models, create_legs, open_legs
from twotower.retrieval.models.bm25 import check_language
from twotower.retrieval.models.languages import AUTO, load_identifier
from twotower.retrieval.models.model_folder import ModelFolder, count_prompt_tokens
from twotower.retrieval.vocabulary.errors import ConfigurationError

_MIN_CHUNK = 32  # tokens


class Ingestion:
    """Brings the files below some paths into a collection; a context manager.

    Parameters
    ----------
    paths
        Files and folders.
    name
        Name of the collection; it is created when the first document has been read.

    Attributes
    ----------
    discovery
        The files below the paths, and the paths that do not exist.
    plan
        The action for each file, and the documents whose files are gone.

    Raises
    ------
    IndexMismatch
        If the collection was built with another encoder or with different chunk settings.
    ServiceError
        If the data directory cannot be written to, or the collection is open in another process.
    """

    def __init__(
        self,
        application: Application,
        paths: Sequence[Path],
        name: str,
        observer: IngestObserver | None = None,
    ) -> None:
        self._application = application
        self._name = name
        self._observer = observer or IngestObserver()
        self._outcomes: list[FileOutcome] = []
        check_language(application.settings.language)
        with ExitStack() as opening:  # closed here only if what follows fails
            self._close = opening
            # First: a search that finds no collection tells by the lock that there will be one.
            self._close.enter_context(application.catalog.ingestion_lock(name))
            self.discovery: Discovery = discover(
                paths,
                readable_suffixes(application.settings.ocr),
                application.settings.hidden,
                application.settings.gitignore,
                application.settings.data_dir,
            )
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
        self, prune: bool = False, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[FileOutcome]:
        """Do the work; see `Pipeline.run`."""
        settings = self._application.settings
        reads = [file for file in self.plan.files if file.action in READ]
        warm_ups = [threading.Thread(target=load) for load in (self._warm_up, self._load_languages)]
        if reads:
            for warm_up in warm_ups:  # while the first files are read
                warm_up.start()
        workers = Workers(
            self._application.parse_workers(),
            settings.parse_seconds,
            settings.parse_memory_mb,
            [PARSERS if any(needs_unstructured(file.path) for file in reads) else LOADERS],
        )
        with workers:
            try:
                for outcome in self._pipeline.run(self.plan, workers, prune, should_stop):
                    self._outcomes.append(outcome)
                    yield outcome
            finally:
                if reads:  # a process that ends while the engine loads would be aborted
                    for warm_up in warm_ups:
                        warm_up.join()
                paths = {file.source: file.path for file in self.plan.files}
                Failures(settings.data_dir, self._name).record(
                    [(outcome, paths.get(outcome.source)) for outcome in self._outcomes],
                    utc_now().isoformat(timespec="seconds"),
                )

    def _warm_up(self) -> None:
        """Load the encoder; if that fails, the first group fails with the reason."""
        with suppress(Exception):
            self._encoder.encode_passages(["Warm up."])

    def _load_languages(self) -> None:
        if self._application.settings.language == AUTO:
            load_identifier()

    def report(self) -> IngestReport:
        """Report what happened so far."""
        collection = self._pipeline.collection
        total = 0 if collection is None else collection.count("chunk")
        removed = {o.source for o in self._outcomes if o.status == "removed"}
        gone = tuple(record.source for record in self.plan.gone if record.source not in removed)
        return IngestReport(tuple(self._outcomes), total, gone, self._pipeline.seconds)

    def build_index(self) -> bool:
        """Build the vector index of a collection that has grown large; return True if it did.

        No other thread of this process runs during that time: not for a process that serves.
        """
        collection, threshold = (
            self._pipeline.collection,
            self._application.settings.index_threshold,
        )
        grown = any(outcome.embedded for outcome in self._outcomes)
        if not (collection and threshold and grown) or collection.count("chunk") < threshold:
            return False
        self._observer.busy("building an index")
        return collection.optimize()

    def _opened(self) -> Pipeline:
        application, settings = self._application, self._application.settings
        models, name = application.models, self._name
        collection, card = None, None
        legs: Callable[[Sequence[str]], Mapping[str, Leg]]
        legs, encoder = partial(create_legs, settings.legs, models), models.encoder()
        if application.catalog.exists(name):
            collection = self._close.enter_context(application.catalog.open(name))
            card = collection.card()
            legs, encoder = partial(_opened_legs, card, models), models.encoder(card.encoder)
        self._encoder = encoder
        chunking = chunk_settings(settings, encoder.model, card)
        if card is not None:
            card.require(name, chunking.to_card(), settings.language)
        return Pipeline(
            collection=collection,
            create=lambda card: self._close.enter_context(application.catalog.create(name, card)),
            legs=legs,
            model=encoder.model,
            settings=chunking,
            limits=application.limits(),
            now=utc_now,
            observer=self._observer,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close.close()


def _opened_legs(card: IndexCard, models: Models, texts: Sequence[str]) -> Mapping[str, Leg]:
    del texts  # the legs of a collection that exists depend on its card alone
    return open_legs(card, models)


def chunk_settings(
    settings: Settings, model: ModelFolder, card: IndexCard | None = None
) -> ChunkSettings:
    """Choose the chunk settings for an encoder.

    Parameters
    ----------
    card
        Card of an existing collection; it decides what the settings leave open.

    Raises
    ------
    ConfigurationError
        If chunks would be longer than the encoder reads, or too short.
    """
    window, prompt = model.window, count_prompt_tokens(model)
    tokens = (settings.chunk_tokens or window) - prompt
    window -= prompt
    if card is not None and not settings.chunk_tokens:
        tokens = card.chunking["chunk_tokens"]
    if tokens > window:
        raise ConfigurationError(
            f"TWOTOWER_CHUNK_TOKENS is {tokens}, but the encoder {model.name} reads only "
            f"{window} tokens, so the rest of each chunk would not be found: set a smaller value"
        )
    if tokens < _MIN_CHUNK or settings.overlap_tokens > tokens // 2:
        raise ConfigurationError(
            f"chunks of {tokens} tokens with an overlap of {settings.overlap_tokens}: use at "
            f"least {_MIN_CHUNK} tokens, and an overlap of at most half of them"
        )
    return ChunkSettings(tokens, settings.overlap_tokens, strategy=settings.chunking)
