"""From settings to objects: the only module that puts the parts together."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twotower.app.answering.answerer import HITS, Answerer, Retrieve
from twotower.app.models import ModelProvider
from twotower.app.settings import Settings
from twotower.app.threads import limit_threads, usable_cores
from twotower.ingest.elements import Limits
from twotower.retrieval.index.catalog import Catalog
from twotower.retrieval.index.catalog.local import LocalCatalog
from twotower.retrieval.index.catalog.shared import SharedCatalog
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.store.protocol import StoreOptions
from twotower.retrieval.legs import open_legs
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.models.model_folder import ModelFolder, load_tokenizer
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.search.rerank import Reranker
from twotower.retrieval.search.retriever import Retriever
from twotower.retrieval.vocabulary.errors import ConfigurationError

_LOG = logging.getLogger(__name__)


class Application:
    """The parts that the settings describe; each is made once, when it is first needed.

    Parameters
    ----------
    shared
        True where several threads of this process use a collection at once.
    """

    def __init__(self, settings: Settings, *, shared: bool = False) -> None:
        self.settings = settings
        self.models = ModelProvider(settings, limit_threads(settings.threads))
        self.catalog: Catalog = (
            self.server_catalog(settings.qdrant_url)
            if settings.qdrant_url
            else self.local_catalog(settings.data_dir)
        )
        if shared:
            self.catalog = SharedCatalog(self.catalog)

    # Collections

    def store_options(self) -> StoreOptions:
        """Return the layout of new collections."""
        settings = self.settings
        return StoreOptions(
            settings.quantization,
            settings.on_disk,
            settings.shards,
            settings.replicas,
            settings.write_consistency,
        )

    def local_catalog(self, data_dir: Path) -> LocalCatalog:
        """Return the embedded collections of a data directory."""
        return LocalCatalog(data_dir, self.store_options())

    def server_catalog(self, url: str) -> Catalog:
        """Return the collections of a Qdrant server, connected as the settings say."""
        from twotower.retrieval.index.catalog.server import (  # noqa: PLC0415 - takes half a second
            ServerCatalog,
        )
        from twotower.retrieval.index.store.connection import (  # noqa: PLC0415 - as above
            Address,
            Server,
        )

        settings = self.settings
        address = Address(
            url,
            settings.qdrant_api_key.get_secret_value().strip(),
            settings.qdrant_grpc,
            settings.qdrant_timeout,
            settings.qdrant_ca_file,
        )

        def connect() -> Server:
            if address.sends_key_openly:
                _LOG.warning("the API key is sent unencrypted to %s: use https", url)
            return Server(address.connect(), url)

        return ServerCatalog(url, connect, self.store_options())

    def catalog_at(self, location: str) -> Catalog:
        """Return the collections at another location: a server's URL, or a data directory.

        Raises
        ------
        ConfigurationError
            If the location is neither.
        """
        if "://" in location:
            return self.server_catalog(location)
        if not location.strip() or re.fullmatch(r"[\w.-]+:\d+", location):
            raise ConfigurationError(
                f"'{location}' is neither a server nor a data directory: write a server as "
                "http://HOST:6333, or the path of a folder"
            )
        return self.local_catalog(user_path(location))

    # Models

    def model(self) -> ModelFolder:
        """Return the files of the encoder in the settings."""
        return self.models.settings_model

    def encoder(self) -> Encoder:
        """Return the encoder in the settings."""
        return self.models.encoder()

    def reranker(self, name: str) -> Reranker:
        """Return a reranker for texts that belong to no collection."""
        return self.models.reranker(name, self.encoder())

    def token_counter(self, collection: Collection | None = None) -> Callable[[str], int]:
        """Return a function that counts tokens as the encoder does, close to a language model's.

        Parameters
        ----------
        collection
            The collection whose encoder counts; without one, that of the settings.
        """
        card = collection.card().encoder if collection else None
        encoder = self.models.encoder(card)

        def count(text: str) -> int:
            tokenizer = load_tokenizer(encoder.model.path)
            return len(tokenizer.encode(text, add_special_tokens=False).ids)

        return count

    def parse_workers(self) -> int:
        """Return the number of processes that read files."""
        return self.settings.parse_workers or usable_cores()

    def limits(self) -> Limits:
        """Return the limits of loaders."""
        chosen = self.settings
        return Limits(
            chosen.max_pages,
            chosen.max_expanded_mb,
            chosen.max_expansion,
            chosen.ocr,
            chosen.ocr_languages,
            chosen.parse_seconds,
        )

    # Search and answers

    def retriever(self, collection: Collection, **overrides: Any) -> Retriever:
        """Make a retriever over an open collection, with the encoder that its card names.

        Parameters
        ----------
        overrides
            Search options; those that are ``None`` are not overridden.
        """
        card = collection.card()
        encoder = self.models.encoder(card.encoder)
        return Retriever(
            collection,
            open_legs(card, self.models),
            lambda name: self.models.reranker(name, encoder),
            self.options(card.search, overrides),
            self.settings.max_question_chars,
        )

    def options(self, tuned: Mapping[str, Any], overrides: Mapping[str, Any]) -> SearchOptions:
        """Choose each search option: the override, the setting, the tuned value or the default.

        Parameters
        ----------
        tuned
            The options that the collection's card keeps; see `twotower tune`.
        overrides
            The options of one call; those that are ``None`` are not overridden.
        """
        known = {field.name for field in fields(SearchOptions)}
        chosen = {name: value for name, value in tuned.items() if name in known}
        chosen |= self.settings.search
        chosen |= {name: value for name, value in overrides.items() if value is not None}
        return SearchOptions(**chosen)

    def answerer(self, collection: Collection, **overrides: Any) -> Answerer:
        """Make an answerer over an open collection; ``overrides`` as for `retriever`."""
        retriever = self.retriever(collection, **self.answer_options(overrides))
        return self.answerer_over(retriever.retrieve, collection)

    def answerer_over(self, retrieve: Retrieve, collection: Collection) -> Answerer:
        """Make an answerer over a search function.

        Parameters
        ----------
        collection
            The collection that is searched; its encoder checks the citations. It need not stay
            open.
        """
        generate = None
        if self.settings.llm:
            from twotower.app.answering.llm import load_generate  # noqa: PLC0415 - loads LangChain

            generate = load_generate(self.settings)
        return Answerer(
            retrieve,
            self.models.encoder(collection.card().encoder),
            self.token_counter(collection),
            generate,
            self.settings.llm_context,
        )

    def answer_options(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Choose the search options of an answer.

        Without a language model, sentences are quoted. Then the passages are reranked by late
        interaction unless the settings say otherwise, because no model reads them afterwards.
        """
        chosen: dict[str, Any] = {"limit": HITS}
        if not self.settings.llm and "rerank" not in self.settings.search:
            chosen["rerank"] = "late-interaction"
        return chosen | {name: value for name, value in overrides.items() if value is not None}


def user_path(text: str) -> Path:
    """Read a path as a person types it.

    Raises
    ------
    ConfigurationError
        If it begins with the home folder of a user that does not exist.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(f"{text}: there is no such user; write the whole path") from error


def utc_now() -> datetime:
    """Return the time of the clock."""
    return datetime.now(UTC)
