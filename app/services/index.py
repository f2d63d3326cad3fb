"""An open collection for Python programs: search it, answer from it, list its documents."""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.search.results import SearchResult
from twotower.retrieval.vocabulary.documents import DocumentRecord
from twotower.retrieval.vocabulary.filters import Filter, parse_filters

if TYPE_CHECKING:
    from twotower.app.answering.answer import Answer


def open_index(collection: str | None = None, **settings: Any) -> "Index":
    """Open a collection.

    An embedded collection belongs to one process at a time: this one holds it until it is closed.

    Parameters
    ----------
    collection
        Name of the collection; ``None`` uses the one in the settings.
    settings
        Settings by their names, such as ``data_dir="..."``; they override the environment and
        ``twotower.toml``.

    Raises
    ------
    ConfigurationError
        If there is no such collection, or a setting is wrong.
    ServiceError
        If the collection is open in another process, or the server is not available.
    """
    if collection is not None:
        settings["collection"] = collection
    application = Application(load_settings(None, **settings))
    return Index(application, application.catalog.open(application.settings.collection))


class Index:
    """An open collection, with the encoder that its card names; a context manager.

    It may be used by several threads; their searches run one after the other.
    """

    def __init__(self, application: Application, collection: Collection) -> None:
        self._application = application
        self._collection = collection
        self._retriever = application.retriever(collection)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Name of the collection."""
        return self._collection.name

    def search(
        self,
        question: str,
        *,
        filter: str | Sequence[str] | Filter | None = None,
        explain: bool = False,
        **options: Any,
    ) -> SearchResult:
        """Find the passages that answer a question best.

        Parameters
        ----------
        filter
            Expressions such as ``"type=pdf"``, all of which must hold, or a `Filter`.
        explain
            True to give each hit an `Explanation`.
        options
            Search options by their names, such as ``limit=3``: see `SearchOptions`.

        Raises
        ------
        ConfigurationError
            If the question, an option or a filter is wrong.
        """
        with self._lock:
            card = self._collection.card()
            overrides = options | {"where": self._where(filter)}
            chosen = self._application.options(card.search, overrides)
            return self._retriever.retrieve(question, chosen, explain=explain)

    def answer(
        self, question: str, *, filter: str | Sequence[str] | Filter | None = None
    ) -> "Answer":
        """Answer a question with checked citations, as `twotower ask` does."""
        with self._lock:
            where = self._where(filter)
            return self._application.answerer(self._collection, where=where).answer(question)

    def documents(self) -> list[DocumentRecord]:
        """List the documents, by source."""
        return sorted(self._collection.documents(), key=lambda record: record.source)

    def close(self) -> None:
        """Release the collection."""
        self._collection.close()

    def _where(self, filter: str | Sequence[str] | Filter | None) -> Filter | None:
        if filter is None or isinstance(filter, Filter):
            return filter
        expressions = [filter] if isinstance(filter, str) else filter
        return parse_filters(expressions, self._collection.metadata_keys())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
