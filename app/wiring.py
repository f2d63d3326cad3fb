"""From settings to objects: the only place where the parts are put together."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from app.settings import Settings
from app.threads import limit_threads, usable_cores
from retrieval.catalog import Catalog
from retrieval.catalog.local import LocalCatalog
from retrieval.collection import Collection
from retrieval.encoder import Encoder, PairScorer
from retrieval.errors import ConfigurationError
from retrieval.model_folder import ModelFolder, find_model, from_hub_cache, load_tokenizer
from retrieval.options import SearchOptions
from retrieval.rerank import Reranker
from retrieval.runtime.cache import ModelCache
from retrieval.store.protocol import StoreOptions

if TYPE_CHECKING:
    from app.answer import Answerer, Retrieve
    from retrieval.retriever import Retriever
    from retrieval.runtime import Choice, RuntimeOptions


class Application:
    """What the settings describe; parts are made when first asked for, and once.

    Parameters
    ----------
    shared
        Whether threads of this process use a collection at once.
    """

    def __init__(self, settings: Settings, *, shared: bool = False) -> None:
        self.settings = settings
        self.threads = limit_threads(settings.threads)
        self.catalog: Catalog = (
            self.server_catalog(settings.qdrant_url)
            if settings.qdrant_url
            else self.local_catalog(settings.data_dir)
        )
        if shared:
            from retrieval.catalog.shared import SharedCatalog  # noqa: PLC0415 - the page alone

            self.catalog = SharedCatalog(self.catalog)
        self.models = ModelCache(settings.cache_dir or platformdirs.user_cache_path("twotower"))
        self.model: Callable[[], ModelFolder] = cache(self._model)
        self.encoder: Callable[[], Encoder] = cache(self._encoder)
        self.reranker: Callable[[str], Reranker] = cache(self._reranker)

    def store_options(self) -> StoreOptions:
        """How the settings want new collections to be laid out."""
        settings = self.settings
        return StoreOptions(
            settings.quantization,
            settings.on_disk,
            settings.shards,
            settings.replicas,
            settings.write_consistency,
        )

    def local_catalog(self, data_dir: Path) -> LocalCatalog:
        """The embedded collections of a data directory."""
        return LocalCatalog(data_dir, self.store_options(), _tell)

    def server_catalog(self, url: str) -> Catalog:
        """The collections of a Qdrant server; the settings tell how it is spoken to."""
        from retrieval.catalog.server import ServerCatalog  # noqa: PLC0415 - takes half a second
        from retrieval.store.server import Address, Server  # noqa: PLC0415 - as above

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
                _tell(f"the API key travels unencrypted to {url}: use https")
            return Server(address.connect(), url, _tell)

        return ServerCatalog(url, connect, self.store_options(), _tell)

    def catalog_at(self, place: str) -> Catalog:
        """The collections of another place: a server's URL, or a data directory.

        Raises
        ------
        ConfigurationError
            If it is neither.
        """
        if "://" in place:
            return self.server_catalog(place)
        if not place.strip() or re.fullmatch(r"[\w.-]+:\d+", place):
            raise ConfigurationError(
                f"'{place}' is no place: name a server as http://HOST:6333, or a data directory"
            )
        return self.local_catalog(user_path(place))

    def _model(self, download: Callable[[str], str] | None = None) -> ModelFolder:
        settings = self.settings
        path = find_model(settings.encoder, download)
        prompts = settings.question_prompt, settings.passage_prompt
        return ModelFolder(settings.encoder, path, *prompts, self.models.digests)

    def _cross_encoder(self, download: Callable[[str], str] | None = None) -> ModelFolder:
        name = self.settings.cross_encoder
        path = find_model(name, download, "cross-encoder", "config.json")
        return ModelFolder(name, path, digests=self.models.digests)

    def local_models(self) -> Iterator[ModelFolder]:
        """Find the models that the settings name, those that are on this machine."""
        for find in (self._model, self._cross_encoder):
            with suppress(ConfigurationError):
                yield find(from_hub_cache)

    def _encoder(self) -> Encoder:
        from retrieval.runtime import load_encoder  # noqa: PLC0415 - not every command encodes

        return load_encoder(self.model(), self.models, self.runtime_options(), _tell)

    def _pair_scorer(self) -> PairScorer:
        from retrieval.runtime import load_pair_scorer  # noqa: PLC0415 - as above

        return load_pair_scorer(self._cross_encoder(), self.models, self.runtime_options(), _tell)

    def _reranker(self, kind: str) -> Reranker:
        if kind == "late-interaction":
            from retrieval.rerank.late_interaction import LateInteraction  # noqa: PLC0415 - as above

            return LateInteraction(self.encoder)
        from retrieval.rerank.cross_encoder import CrossEncoder  # noqa: PLC0415 - as above

        return CrossEncoder(self.settings.cross_encoder, cache(self._pair_scorer))

    def runtime_choice(self) -> "Choice":
        """Tell what runs the encoder, without loading it."""
        from retrieval.runtime import choose  # noqa: PLC0415 - as above

        return choose(self.model(), self.models, self.runtime_options())

    def runtime_options(self) -> "RuntimeOptions":
        """How the settings want networks to be run."""
        from retrieval.runtime import RuntimeOptions  # noqa: PLC0415 - as above

        settings = self.settings
        return RuntimeOptions(
            settings.runtime,
            settings.precision,
            settings.batch_tokens,
            self.threads,
            settings.trust_remote_code,
        )

    def retriever(self, collection: Collection, **asked: Any) -> "Retriever":
        """Make a retriever over an open collection; ``asked`` are options that are not None."""
        from retrieval.retriever import Retriever  # noqa: PLC0415 - as above

        card = collection.card()

        @cache
        def encoder() -> Encoder:  # compared before a model is loaded, or even compiled, in vain
            card.require(collection.name, self.model())
            return self.encoder()

        return Retriever(
            collection,
            encoder,
            self.reranker,
            self.options(card.search, asked),
            self.settings.max_question_chars,
        )

    def answerer(self, collection: Collection, **asked: Any) -> "Answerer":
        """Make what answers questions about an open collection; ``asked`` as for `retriever`."""
        return self.answering(self.retriever(collection, **self.answer_options(asked)).retrieve)

    def answer_options(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Choose how an answer's passages are searched, where it is not asked.

        Without a language model, sentences are quoted: then the passages are reranked by late
        interaction unless something else is set, since no model looks at them again.
        """
        from app.answer import HITS  # noqa: PLC0415 - few commands answer

        chosen: dict[str, Any] = {"limit": HITS}
        if not self.settings.llm and "rerank" not in self.settings.model_fields_set:
            chosen["rerank"] = "late-interaction"
        return chosen | dict(asked)

    def answering(self, retrieve: "Retrieve") -> "Answerer":
        """Make what answers questions from what a search gives."""
        from app.answer import Answerer  # noqa: PLC0415 - as above

        generate = None
        if self.settings.llm:
            from app.llm import load_generate  # noqa: PLC0415 - as above

            generate = load_generate(self.settings)
        return Answerer(
            retrieve, self.encoder, self.count_tokens, generate, self.settings.llm_context
        )

    def options(self, tuned: Mapping[str, Any], asked: Mapping[str, Any]) -> SearchOptions:
        """Choose each search option: what is asked, else what is set, else tuned, else a default.

        Parameters
        ----------
        tuned
            What the collection's card keeps.
        asked
            By the call; None is not asked.
        """
        settings = self.settings
        names = {field.name for field in fields(SearchOptions)}
        chosen = {name: value for name, value in tuned.items() if name in names}
        chosen |= {n: getattr(settings, n) for n in settings.model_fields_set if n in names}
        chosen |= {name: value for name, value in asked.items() if value is not None}
        return SearchOptions(**chosen)

    def count_tokens(self, text: str) -> int:
        """Count tokens as the encoder does, which is close to how language models count."""
        tokenizer = load_tokenizer(self.model().path)
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    def parse_workers(self) -> int:
        """How many processes read files."""
        return self.settings.parse_workers or usable_cores()


def user_path(text: str) -> Path:
    """Read a path as a person types it.

    Raises
    ------
    ConfigurationError
        If it begins with the home of a user who is not there.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(f"{text}: there is no such user; write the path out") from error


def _tell(message: str) -> None:
    print(f"note: {message}", file=sys.stderr)


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)
