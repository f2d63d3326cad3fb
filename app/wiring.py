"""From settings to objects: the only place where the parts are put together."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from typing import Any

from app.settings import Settings
from app.threads import limit_threads, usable_cores
from retrieval.catalog import Catalog
from retrieval.collection import Collection
from retrieval.encoder import Encoder, TorchEncoder
from retrieval.model_folder import ModelFolder, find_model, load_tokenizer
from retrieval.options import SearchOptions
from retrieval.rerank import Reranker
from retrieval.rerank.cross_encoder import CrossEncoder
from retrieval.rerank.late_interaction import LateInteraction
from retrieval.retriever import Retriever


class Application:
    """What the settings describe; parts are made when first asked for, and once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        limit_threads(settings.threads)
        self.catalog = Catalog(settings.data_dir)
        self.model: Callable[[], ModelFolder] = cache(self._model)
        self.encoder: Callable[[], Encoder] = cache(self._encoder)
        self.reranker: Callable[[str], Reranker] = cache(self._reranker)

    def _model(self) -> ModelFolder:
        settings = self.settings
        path = find_model(settings.encoder)
        return ModelFolder(
            settings.encoder, path, settings.question_prompt, settings.passage_prompt
        )

    def _encoder(self) -> Encoder:
        settings = self.settings
        return TorchEncoder(
            self.model(), settings.precision, settings.batch_size, settings.trust_remote_code
        )

    def _reranker(self, kind: str) -> Reranker:
        settings = self.settings
        if kind == "late-interaction":
            return LateInteraction(self.encoder)
        name = settings.cross_encoder
        folder = find_model(name, what="cross-encoder", marker="config.json")
        return CrossEncoder(name, folder, settings.rerank_batch, settings.trust_remote_code)

    def retriever(self, collection: Collection, **asked: Any) -> Retriever:
        """Make a retriever over an open collection; ``asked`` are options that are not None."""
        card = collection.card()
        return Retriever(
            collection,
            self.encoder,
            self.reranker,
            self.options(card.search if card else {}, asked),
            self.settings.max_question_chars,
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


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)
