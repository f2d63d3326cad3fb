"""From settings to objects: the only place where the parts are put together."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

from app.settings import Settings
from app.threads import limit_threads, usable_cores
from retrieval.catalog import Catalog
from retrieval.collection import Collection
from retrieval.encoder import Encoder, TorchEncoder
from retrieval.model_folder import ModelFolder, find_model
from retrieval.retriever import Retriever


class Application:
    """What the settings describe; parts are made when first asked for, and once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        limit_threads(settings.threads)
        self.catalog = Catalog(settings.data_dir)
        self.model: Callable[[], ModelFolder] = cache(self._model)
        self.encoder: Callable[[], Encoder] = cache(self._encoder)

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

    def retriever(self, collection: Collection) -> Retriever:
        """Make a retriever over an open collection."""
        settings = self.settings
        return Retriever(
            collection,
            self.encoder,
            settings.depth,
            settings.dense_weight,
            settings.max_question_chars,
        )

    def parse_workers(self) -> int:
        """How many processes read files."""
        return self.settings.parse_workers or usable_cores()


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)
