"""From a question to ranked, cited passages: the pipeline, in the order of its steps."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from twotower.retrieval.index.collection import Collection
from twotower.retrieval.legs.protocol import Leg
from twotower.retrieval.search.candidates import Searcher
from twotower.retrieval.search.explain import Explainer
from twotower.retrieval.search.hits import HitSelector
from twotower.retrieval.search.options import HYBRID, NO_RERANKER, SearchOptions
from twotower.retrieval.search.phrases import narrowed
from twotower.retrieval.search.rerank import Reranker
from twotower.retrieval.search.results import SearchResult, Sentence
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.retrieval.vocabulary.ranking import LegName
from twotower.retrieval.vocabulary.text import normalised
from twotower.retrieval.vocabulary.vectors import Vectors


class Retriever:
    """Searches one collection.

    Parameters
    ----------
    collection
        An open collection that has a card.
    legs
        The legs of the collection, by name: see `legs.open_legs`.
    reranker
        Function that returns the reranker of a name; it raises `ConfigurationError` where there is
        none.
    options
        Options of a search that gives none.
    max_question_chars
        Largest number of characters of a question.
    clock
        Function that returns the time in seconds.
    """

    def __init__(
        self,
        collection: Collection,
        legs: Mapping[LegName, Leg],
        reranker: Callable[[str], Reranker] | None = None,
        options: SearchOptions | None = None,
        max_question_chars: int = 10_000,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.options = options or SearchOptions()
        self.card = collection.card()
        self._collection = collection
        self._searcher = Searcher(collection, legs)
        self._explainer = Explainer(collection, legs)
        self._selector = HitSelector(
            collection, self._searcher, self._explainer, reranker or _no_reranker, clock
        )
        self._max_question_chars = max_question_chars
        self._clock = clock

    def retrieve(
        self,
        question: str,
        options: SearchOptions | None = None,
        *,
        explain: bool = False,
        closest: bool = True,
    ) -> SearchResult:
        """Find the passages that answer a question best.

        Text in double quotes must occur in a passage as it is written, if any passage has it.

        Parameters
        ----------
        explain
            True to give each hit an `Explanation`.
        closest
            True to name the sentence that is closest to the question in it, which costs encoding.

        Raises
        ------
        ConfigurationError
            For an empty or an overlong question, a leg that the collection does not have, or a
            reranker that is not available.
        IndexMismatch
            If the encoder at hand is not the one that made the collection's vectors.
        """
        return self.retrieve_many([question], options, explain=explain, closest=closest)[0]

    def retrieve_many(
        self,
        questions: Sequence[str],
        options: SearchOptions | None = None,
        *,
        explain: bool = False,
        closest: bool = True,
    ) -> list[SearchResult]:
        """Answer many questions with one encoding batch and one engine batch; see `retrieve`."""
        started = self._clock()
        options = options or self.options
        texts = [self._checked(question) for question in questions]
        filters = [narrowed(text, options.where, self._collection) for text in texts]
        queries = self._searcher.encode(texts, [where for where, _ in filters], options.mode)
        found = self._searcher.find(queries, options, options.candidates)
        if options.feedback:
            expanded = [self._searcher.expand(candidates, options) for candidates in found]
            found = self._searcher.find(expanded, options, options.candidates)
        results = (
            self._selector.result(candidates, options, started, explain=explain, closest=closest)
            for candidates in found
        )
        return [
            replace(result, ignored_phrases=ignored, question_map=self._map_used(options))
            for result, (_, ignored) in zip(results, filters, strict=True)
        ]

    def metadata_keys(self) -> list[str]:
        """List the keys of the documents' own metadata, which filters may name."""
        return self._collection.metadata_keys()

    def question_vector(self, question: str) -> Vectors | None:
        """Encode a question: (d,) float32; ``None`` where the collection has no dense leg."""
        dense = self._explainer.dense
        if dense is None:
            return None
        (query,) = dense.encode_questions([self._checked(question)], self._collection)
        return query.vector

    def closest(self, question: str, chunk: Chunk) -> Sentence | None:
        """Find the sentence of a passage that is closest to a question."""
        vector = self.question_vector(question)
        return None if vector is None else self._explainer.closest(vector, [chunk]).get(chunk.id)

    def matches(self, question: str, text: str) -> list[tuple[int, int]]:
        """Find the words of a passage that share a BM25 term with the question: offsets."""
        bm25 = self._explainer.bm25
        return list(bm25.matches(question, text)) if bm25 else []

    def _map_used(self, options: SearchOptions) -> int | None:
        maps = (leg.question_map for leg in self.card.legs if options.mode in (HYBRID, leg.name))
        return max((used.number for used in maps if used), default=None)

    def _checked(self, question: str) -> str:
        question = normalised(question).strip()
        if not question:
            raise ConfigurationError("the question is empty: type what you are looking for")
        if len(question) > self._max_question_chars:
            raise ConfigurationError(
                f"the question has {len(question):,} characters, the limit is "
                f"{self._max_question_chars:,} (TWOTOWER_MAX_QUESTION_CHARS): shorten it"
            )
        return question


def _no_reranker(name: str) -> Reranker:
    raise ConfigurationError(
        f"the reranker {name} is not available here: set the option rerank to {NO_RERANKER}"
    )
