"""Searches of a door that serves several people: retrievers that stay ready between questions."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from twotower.app.wiring import Application
from twotower.retrieval.search.results import Hit, SearchResult, Sentence
from twotower.retrieval.search.retriever import Retriever
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.filters import Filter

_MOST_COUNTED = 50_000  # chunks; counting a key of a person's own metadata reads all of them


@dataclass(frozen=True, slots=True)
class MarkedResult:
    """The result of a search, with the words to mark in each hit: offsets, by chunk id."""

    result: SearchResult
    marks: Mapping[str, Sequence[tuple[int, int]]]


class Searching:
    """Searches of the collections of one application.

    The retriever of a collection is kept until the collection changes. One thread searches at a
    time, because stemmers and rerankers keep state while they work.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._retrievers: dict[str, tuple[tuple[int, int], Retriever]] = {}

    @contextmanager
    def retriever(self, name: str) -> Iterator[Retriever]:
        """Hold the retriever of a collection; it is made again after the collection has changed."""
        with self._application.catalog.open(name, short_lived=True) as collection, self._lock:
            cached = self._retrievers.get(name)
            state = collection.serial, collection.writes
            if cached is None or cached[0] != state:
                cached = (state, self._application.retriever(collection))
                self._retrievers[name] = cached
            yield cached[1]

    def search(self, name: str, question: str, overrides: Mapping[str, Any]) -> MarkedResult:
        """Search with an explanation of each hit; ``overrides`` as for `Application.retriever`."""
        with self.retriever(name) as retriever:
            options = self._application.options(retriever.card.search, overrides)
            result = retriever.retrieve(question, options, explain=True, closest=False)
            return MarkedResult(result, _marks(retriever, result))

    def marked(self, name: str, question: str, hits: tuple[Hit, ...]) -> MarkedResult:
        """Find the words to mark in hits that exist."""
        with self.retriever(name) as retriever:
            result = SearchResult(question, retriever.options, hits)
            return MarkedResult(result, _marks(retriever, result))

    def closest(self, name: str, question: str, chunk: Chunk) -> Sentence | None:
        """Find the sentence of a passage that is closest to a question."""
        with self.retriever(name) as retriever:
            return retriever.closest(question, chunk)

    def neighbours(self, name: str, chunk: Chunk, reach: int) -> tuple[list[Chunk], list[Chunk]]:
        """Read the passages before and after one."""
        with self._application.catalog.open(name, short_lived=True) as collection:
            return collection.neighbours(chunk, reach)

    def facets(self, name: str, keys: Sequence[str]) -> dict[str, dict[str, int]]:
        """Count passages by the values of some keys and of the documents' own metadata.

        In a large collection the documents' own metadata are left out: they have no index that
        counts.
        """
        with self._application.catalog.open(name, short_lived=True) as collection:
            own = collection.metadata_keys() if collection.count("chunk") <= _MOST_COUNTED else []
            return {key: collection.facets(key, Filter()) for key in (*keys, *own)}

    def legs(self, name: str) -> list[str]:
        """List the legs of a collection, each of which can be searched alone."""
        with self._application.catalog.open(name, short_lived=True) as collection:
            return [leg.name for leg in collection.card().legs]

    def metadata_keys(self, name: str) -> list[str]:
        """List the keys of the documents' own metadata, which filters may name."""
        with self._application.catalog.open(name, short_lived=True) as collection:
            return collection.metadata_keys()

    def state(self, name: str) -> tuple[int, int]:
        """Return a value that changes when the collection is opened again or written to."""
        with self._application.catalog.open(name, short_lived=True) as collection:
            return collection.serial, collection.writes


def _marks(retriever: Retriever, result: SearchResult) -> dict[str, list[tuple[int, int]]]:
    return {
        str(hit.chunk.id): retriever.matches(result.question, hit.chunk.text) for hit in result.hits
    }
