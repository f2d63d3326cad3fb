"""From a question to ranked, cited passages: the pipeline, read top to bottom."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from retrieval.abstention import features
from retrieval.candidates import LEGS, Asked, Found, Searcher
from retrieval.collection import Collection
from retrieval.encoder import Encoder
from retrieval.errors import ConfigurationError
from retrieval.explain import Explainer
from retrieval.filters import Condition, Filter
from retrieval.lexical import Bm25, phrases
from retrieval.options import MAX_LIMIT, SearchOptions
from retrieval.rerank import Reranker
from retrieval.selection import at_most_per_document, combined, diverse
from retrieval.store.protocol import BM25, DENSE
from retrieval.types import Chunk, Hit, Judgement, Reranked, Scored, Sentence
from retrieval.vectors import Vectors

_RERANK_BATCH = 16  # passages between two looks at the clock


class Retriever:
    """Searches one collection.

    Parameters
    ----------
    collection
        An open collection that has a card.
    encoder
        Makes the encoder when a mode first needs it: a BM25 search never loads a model.
    reranker
        From a kind of reranking to the reranker; raises `ConfigurationError` where it has none.
    options
        How to search where a call does not say.
    max_question_chars
        A longer question is refused.
    clock
        Seconds, for the time budget.
    """

    def __init__(
        self,
        collection: Collection,
        encoder: Callable[[], Encoder],
        reranker: Callable[[str], Reranker] | None = None,
        options: SearchOptions | None = None,
        max_question_chars: int = 10_000,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        card = collection.card()
        self.options = options or SearchOptions()
        self._collection = collection
        self._card = card
        self._encoder = encoder
        self._reranker = reranker or _no_reranker
        self._bm25 = Bm25(card.bm25)
        self._searcher = Searcher(collection, self._bm25, self._question_vectors)
        self._explainer = Explainer(collection, self._bm25, self._guarded_encoder)
        self._max_question_chars = max_question_chars
        self._clock = clock

    def retrieve(
        self,
        question: str,
        options: SearchOptions | None = None,
        *,
        explain: bool = False,
        closest: bool = True,
    ) -> list[Hit]:
        """Find the passages that answer a question best.

        What stands in double quotes has to be in a passage as it is written.

        Parameters
        ----------
        explain
            Whether hits carry an `Explanation`.
        closest
            Whether it names the sentence that is closest to the question, which costs encoding.

        Returns
        -------
        list[Hit]
            At most ``options.limit`` hits, best first; empty where no leg returned anything.

        Raises
        ------
        ConfigurationError
            For an empty or an overlong question, or a reranker that cannot be had.
        IndexMismatch
            If the collection's vectors come from another encoder.
        """
        return self.retrieve_many([question], options, explain=explain, closest=closest)[0]

    def retrieve_many(
        self,
        questions: Sequence[str],
        options: SearchOptions | None = None,
        *,
        explain: bool = False,
        closest: bool = True,
    ) -> list[list[Hit]]:
        """Answer many questions with one encoding batch and one engine batch; see `retrieve`."""
        started = self._clock()
        options = options or self.options
        texts = [self._checked(question) for question in questions]
        wheres = [self._narrowed(text, options.where) for text in texts]
        asked = self._searcher.ask(texts, wheres, options.mode)
        found = self._found(asked, options, options.candidates)
        return [self._hits(one, options, started, explain, closest) for one in found]

    @property
    def tuned(self) -> Mapping[str, Any]:
        """Search options that the collection's card keeps; see `twotower tune`."""
        return self._card.search

    def metadata_keys(self) -> list[str]:
        """List the keys of people's own metadata that filters may name."""
        return self._collection.metadata_keys()

    def question_vector(self, question: str) -> Vectors:
        """Encode a question: (d,) float32."""
        vector: Vectors = self._question_vectors([self._checked(question)])[0]
        return vector

    def closest(self, question: str, chunk: Chunk) -> Sentence | None:
        """Find the sentence of a passage that is closest to a question."""
        vector = self.question_vector(question)
        return self._explainer.closest(vector, [chunk]).get(chunk.id)

    def matches(self, question: str, text: str) -> list[tuple[int, int]]:
        """Find the words of a passage that share a BM25 term with the question: offsets."""
        return list(self._bm25.matches(question, text))

    def _checked(self, question: str) -> str:
        question = question.strip()
        if not question:
            raise ConfigurationError("the question is empty: type what you are looking for")
        if len(question) > self._max_question_chars:
            raise ConfigurationError(
                f"the question has {len(question):,} characters, the limit is "
                f"{self._max_question_chars:,} (TWOTOWER_MAX_QUESTION_CHARS): shorten it"
            )
        return question

    def _narrowed(self, text: str, narrowed: Filter) -> Filter:
        # Chunks alone have vectors: a search needs no condition on what it returns.
        return narrowed & Filter(tuple(Condition("text", phrase=p) for p in phrases(text)))

    def _guarded_encoder(self) -> Encoder:
        encoder = self._encoder()
        self._card.require(self._collection.name, encoder.model)
        return encoder

    def _question_vectors(self, texts: Sequence[str]) -> Vectors:
        return self._guarded_encoder().encode_questions(texts)

    def _found(self, asked: Sequence[Asked], options: SearchOptions, depth: int) -> list[Found]:
        found = self._searcher.find(asked, options, depth)
        if options.feedback:
            moved = [self._searcher.moved(one, options) for one in found]
            found = self._searcher.find(moved, options, depth)
        return found

    def _hits(
        self, found: Found, options: SearchOptions, started: float, explain: bool, closest: bool
    ) -> list[Hit]:
        chunks = _Chunks(self._collection)
        found = self._deepened(found, options, chunks)
        ranking, reranked, out_of_time = self._reranked(found, options, chunks, started)
        chosen = self._chosen(ranking, options, chunks)
        shown = {item.id for item in chosen}
        fused = {
            item.id: (place, item.score)
            for place, item in enumerate(found.ranking)
            if item.id in shown
        }
        positions = {item.id: place for place, item in enumerate(ranking) if item.id in shown}
        places = {name: found.places(name, shown) for name in LEGS["hybrid"]}
        judgement = self._judgement(found, reranked, options)
        explanations = (
            self._explainer.explain(
                found, options, chunks.read([item.id for item in chosen]), closest=closest
            )
            if explain
            else {}
        )
        hits: list[Hit] = []
        for item in chosen:
            place, score = fused[item.id]
            hits.append(
                Hit(
                    rank=len(hits) + 1,
                    score=item.score,
                    chunk=chunks.one(item.id),
                    legs={name: places[name].get(item.id) for name in places},
                    fused=score,
                    reranked=Reranked(reranked[item.id], place - positions[item.id])
                    if item.id in reranked
                    else None,
                    out_of_time=out_of_time,
                    explanation=explanations.get(item.id),
                    judgement=judgement,
                )
            )
        return [self._expanded(hit, options.expand) for hit in hits] if options.expand else hits

    def _reranked(
        self, found: Found, options: SearchOptions, chunks: "_Chunks", started: float
    ) -> tuple[list[Scored], dict[UUID, float], bool]:
        """Score the first hits batch by batch, until all are or the time is up."""
        if options.rerank == "none":
            return found.ranking, {}, False
        reranker = self._reranker(options.rerank)
        first = [item.id for item in found.ranking[: options.rerank_depth]]
        scores: dict[UUID, float] = {}
        out_of_time = False
        for start in range(0, len(first), _RERANK_BATCH):
            if options.budget_ms and (self._clock() - started) * 1000 >= options.budget_ms:
                out_of_time = True
                break
            batch = chunks.read(first[start : start + _RERANK_BATCH])
            given = reranker.scores(found.asked.text, batch)
            if not all(math.isfinite(score) for score in given):
                raise ConfigurationError(
                    f"the {options.rerank} reranker gave a score that is not a number: its "
                    "weights are broken; search with --rerank none"
                )
            scores |= {chunk.id: score for chunk, score in zip(batch, given, strict=True)}
        return combined(found.ranking, scores, options.rerank_weight), scores, out_of_time

    def _deepened(self, found: Found, options: SearchOptions, chunks: "_Chunks") -> Found:
        """Look deeper while so few documents fill the candidates that hits would be missing."""
        depth = options.candidates
        while options.per_document:
            kept = _few_of_each(found.ranking, options, chunks)
            if len(kept) >= options.limit or found.exhausted or depth >= MAX_LIMIT:
                break
            depth = min(4 * depth, MAX_LIMIT)
            found = self._searcher.find([found.asked], options, depth)[0]
        return found

    def _chosen(
        self, ranking: list[Scored], options: SearchOptions, chunks: "_Chunks"
    ) -> list[Scored]:
        """Cut the ranking to the hits that are shown; a passage that is gone meanwhile is not."""
        if options.per_document:
            ranking = _few_of_each(ranking, options, chunks)
        if options.diversity:
            ranking = ranking[: options.candidates]
            vectors = self._collection.dense_vectors([item.id for item in ranking])
            ranking = [item for item in ranking if item.id in vectors]
            ranking = diverse(ranking, vectors, options.diversity, options.limit)
        ranking = ranking[: options.limit]
        chunks.read([item.id for item in ranking])
        return [item for item in ranking if chunks.has(item.id)]

    def _judgement(
        self, found: Found, reranked: Mapping[UUID, float], options: SearchOptions
    ) -> Judgement:
        if len(found.rankings) < len(LEGS["hybrid"]):
            return Judgement()
        described = features(
            found.best(DENSE),
            found.asked.background,
            found.asked.normaliser(BM25)(max(found.best(BM25), default=0.0)),
            max(reranked.values()) if reranked else None,
        )
        calibration = self._card.calibrations.get(options.rerank)
        if calibration is None or not set(calibration.weights) <= set(described):
            return Judgement(features=described)
        return calibration.judge(described)

    def _expanded(self, hit: Hit, reach: int) -> Hit:
        before, after = self._collection.neighbours(hit.chunk, reach)
        return replace(hit, before=tuple(before), after=tuple(after))


class _Chunks:
    """The chunks of one question's candidates, each read once."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._known: dict[UUID, Chunk] = {}

    def read(self, ids: Sequence[UUID]) -> list[Chunk]:
        missing = [id for id in ids if id not in self._known]
        if missing:
            self._known |= {chunk.id: chunk for chunk in self._collection.chunks(missing)}
        return [self._known[id] for id in ids if id in self._known]

    def has(self, id: UUID) -> bool:
        return id in self._known

    def one(self, id: UUID) -> Chunk:
        return self._known[id]

    @property
    def sources(self) -> dict[UUID, str]:
        return {id: chunk.provenance.source for id, chunk in self._known.items()}


def _few_of_each(ranking: list[Scored], options: SearchOptions, chunks: _Chunks) -> list[Scored]:
    """Leave passages out whose document has enough of them, reading no more than is needed."""
    enough = options.candidates if options.diversity else options.limit
    looked_at = 2 * enough
    while True:
        first = ranking[:looked_at]
        chunks.read([item.id for item in first])
        kept = at_most_per_document(first, options.per_document, chunks.sources)
        if len(kept) >= enough or looked_at >= len(ranking):
            return kept
        looked_at *= 2


def _no_reranker(kind: str) -> Reranker:
    raise ConfigurationError(f"there is no {kind} reranker here: search with --rerank none")
