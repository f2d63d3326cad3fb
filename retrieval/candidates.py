"""From questions to fused candidates: one encoding batch, one engine batch for both legs.

A second, small engine batch asks each leg for the scores of what only the other one found, so that
a passage's fused score depends on the passage and the question alone, not on how many candidates
were asked for.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from retrieval import feedback
from retrieval.collection import Collection
from retrieval.filters import Filter
from retrieval.fusion import (
    convex,
    coverage,
    distribution,
    fused,
    min_max,
    ordered,
    reciprocal_rank,
    standing_out,
)
from retrieval.lexical import Bm25
from retrieval.options import SearchOptions
from retrieval.store.protocol import BM25, DENSE, Leg
from retrieval.types import Chunk, LegName, LegScore, Mode, Scored, SparseVector
from retrieval.vectors import Vectors

LEGS: Mapping[Mode, tuple[LegName, ...]] = {
    "hybrid": (DENSE, BM25),
    "dense": (DENSE,),
    "bm25": (BM25,),
}
_SAMPLE = 256  # passages whose cosines tell what an unrelated passage scores
_LOOKED_AT = 4  # passages for each document that feedback wants
_LEAST_DEVIATION = 0.01  # of cosines: less is a collection of copies, or of one passage


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on its way: as text, as vectors, and what its scores are measured by.

    Attributes
    ----------
    dense, bm25
        The vector of each leg; ``None`` where the leg does not run.
    idf
        Inverse document frequency of the BM25 terms, where it is needed.
    background
        Mean and standard deviation of the cosines with a sample of the collection.
    added_words
        Terms that feedback added, and the words that they stand for.
    """

    text: str
    where: Filter
    dense: Vectors | None = None
    bm25: SparseVector | None = None
    idf: Mapping[int, float] = field(default_factory=dict)
    background: tuple[float, float] = (0.0, 1.0)
    added_words: Mapping[int, str] = field(default_factory=dict)

    @property
    def added(self) -> tuple[tuple[str, float], ...]:
        """The words that feedback added, with their weights in the question."""
        return tuple(
            (word, self.bm25.weight(t)) for t, word in self.added_words.items() if self.bm25
        )

    @property
    def legs(self) -> list[Leg]:
        """The searches of this question."""
        vectors = [vector for vector in (self.dense, self.bm25) if vector is not None]
        return [Leg(vector, self.where) for vector in vectors]

    @property
    def question_idf(self) -> float:
        """Sum of ``asked weight * idf``: what a BM25 score is divided by."""
        if self.bm25 is None:
            return 0.0
        pairs = zip(self.bm25.indices, self.bm25.values, strict=True)
        return sum(value * self.idf.get(term, 0.0) for term, value in pairs)

    def normaliser(self, name: LegName) -> Callable[[float], float]:
        """Make what puts a leg's scores on the scale of the convex fusion."""
        if name == DENSE:
            mean, deviation = self.background
            return lambda score: standing_out(score, mean, deviation)
        whole = self.question_idf
        return lambda score: coverage(score, whole)


@dataclass(frozen=True, slots=True)
class Found:
    """What the legs gave for one question.

    Attributes
    ----------
    rankings
        What each leg that ran gave, best first.
    filled
        What a leg gave when asked for passages that only the other one ranked.
    ranking
        The fused ranking.
    exhausted
        Whether no leg has more candidates to give.
    """

    asked: Asked
    rankings: Mapping[LegName, list[Scored]]
    filled: Mapping[LegName, list[Scored]]
    ranking: list[Scored]
    exhausted: bool

    def best(self, name: LegName) -> list[float]:
        """A leg's scores, best first."""
        return [item.score for item in self.rankings.get(name, ())]

    def places(self, name: LegName, ids: Container[UUID]) -> dict[UUID, LegScore]:
        """Passages in a leg, those that it has; without a rank where the other leg ranked them."""
        ranked = enumerate(self.rankings.get(name, ()), start=1)
        places = {item.id: LegScore(rank, item.score) for rank, item in ranked if item.id in ids}
        for item in self.filled.get(name, ()):
            if item.id in ids:
                places[item.id] = LegScore(None, item.score)
        return places


class Searcher:
    """Both legs over one collection.

    Parameters
    ----------
    encode
        From texts to question vectors, (n, d) float32.
    """

    def __init__(
        self, collection: Collection, bm25: Bm25, encode: Callable[[Sequence[str]], Vectors]
    ) -> None:
        self._collection = collection
        self._bm25 = bm25
        self._encode = encode
        self._sample: Vectors | None = None

    def ask(self, texts: Sequence[str], wheres: Sequence[Filter], mode: Mode) -> list[Asked]:
        """Encode questions, all in one batch."""
        asked = [Asked(text, where) for text, where in zip(texts, wheres, strict=True)]
        if DENSE in LEGS[mode] and asked:
            rows = self._encode(texts)
            asked = [
                replace(one, dense=row, background=self._background(row))
                for one, row in zip(asked, rows, strict=True)
            ]
        if BM25 in LEGS[mode]:
            asked = [replace(one, bm25=self._bm25.encode_question(one.text)) for one in asked]
            terms = {term for one in asked if one.bm25 for term in one.bm25.indices}
            idf = self._collection.idf(sorted(terms))
            asked = [replace(one, idf=idf) for one in asked]
        return asked

    def find(self, asked: Sequence[Asked], options: SearchOptions, depth: int) -> list[Found]:
        """Rank passages for every question: one engine batch, and one for what each leg lacks."""
        batches = [one.legs for one in asked]
        flat = self._collection.search([leg for legs in batches for leg in legs], depth)
        answers = iter(flat)
        rankings = [{leg.name: next(answers) for leg in legs} for legs in batches]
        filled: list[dict[LegName, list[Scored]]] = [{} for _ in asked]
        if options.mode == "hybrid" and options.fusion == "convex":
            filled = self._filled(asked, rankings, depth)
        return [
            self._fused(one, ranking, more, options, depth)
            for one, ranking, more in zip(asked, rankings, filled, strict=True)
        ]

    def moved(self, found: Found, options: SearchOptions) -> Asked:
        """Move a question towards the first passages of its own ranking."""
        asked = found.asked
        chunks = self._first_of_each_document(found, options.feedback)
        first = [chunk.id for chunk in chunks]
        dense, bm25 = asked.dense, asked.bm25
        if dense is not None:
            vectors = self._collection.dense_vectors(first)
            rows = [vectors[id] for id in first if id in vectors]
            dense = feedback.moved(dense, rows, options.feedback_weight)
        idf, added = asked.idf, asked.added_words
        if bm25 is not None:
            weights = self._collection.term_weights(first)
            passages = [weights[id] for id in first if id in weights]
            rarity = self._collection.idf(feedback.candidate_terms(passages))
            bm25 = feedback.expanded(bm25, passages, rarity, options.feedback_weight)
            idf = {**rarity, **idf}
            added = self._added(asked, bm25, chunks)
        background = asked.background if dense is None else self._background(dense)
        return replace(
            asked, dense=dense, bm25=bm25, idf=idf, added_words=added, background=background
        )

    def _first_of_each_document(self, found: Found, most: int) -> list[Chunk]:
        """The best passages, one of a document: several of one would outvote the others."""
        ids = [item.id for item in found.ranking[: _LOOKED_AT * most]]
        first: dict[str, Chunk] = {}
        for chunk in self._collection.chunks(ids):
            first.setdefault(chunk.provenance.source, chunk)
        return list(first.values())[:most]

    def _added(
        self, asked: Asked, expanded: SparseVector, chunks: Sequence[Chunk]
    ) -> dict[int, str]:
        own = set(asked.bm25.indices) if asked.bm25 else set()
        words: dict[int, str] = {}
        for chunk in chunks:
            words = self._bm25.words(chunk.encoded_text) | words
        return {t: words[t] for t in expanded.indices if t not in own and t in words}

    def _filled(
        self,
        asked: Sequence[Asked],
        rankings: Sequence[Mapping[LegName, list[Scored]]],
        depth: int,
    ) -> list[dict[LegName, list[Scored]]]:
        """Ask each leg for the scores of the passages that only the other one ranked.

        A leg that gave fewer than ``depth`` has no score for any other passage.
        """
        filled: list[dict[LegName, list[Scored]]] = [{} for _ in asked]
        wanted: list[tuple[dict[LegName, list[Scored]], Leg]] = []
        for one, ranking, more in zip(asked, rankings, filled, strict=True):
            ranked = {name: {item.id for item in items} for name, items in ranking.items()}
            for leg in one.legs:
                lacking = set().union(*ranked.values()) - ranked[leg.name]
                if lacking and len(ranked[leg.name]) >= depth:
                    wanted.append((more, replace(leg, where=Filter(ids=tuple(lacking)))))
        if wanted:
            most = max(len(leg.where.ids or ()) for _, leg in wanted)
            answers = self._collection.search([leg for _, leg in wanted], most)
            for (more, leg), answer in zip(wanted, answers, strict=True):
                more[leg.name] = answer
        return filled

    def _fused(
        self,
        asked: Asked,
        rankings: Mapping[LegName, list[Scored]],
        filled: Mapping[LegName, list[Scored]],
        options: SearchOptions,
        depth: int,
    ) -> Found:
        exhausted = all(len(items) < depth for items in rankings.values())
        return Found(asked, rankings, filled, _ranking(asked, rankings, filled, options), exhausted)

    def _background(self, question: Vectors) -> tuple[float, float]:
        if self._sample is None:
            self._sample = self._collection.sample(_SAMPLE)
        if not len(self._sample):
            return 0.0, 1.0
        cosines = self._sample @ question
        return float(cosines.mean()), max(float(cosines.std()), _LEAST_DEVIATION)


def _ranking(
    asked: Asked,
    rankings: Mapping[LegName, list[Scored]],
    filled: Mapping[LegName, list[Scored]],
    options: SearchOptions,
) -> list[Scored]:
    if len(rankings) == 1:
        return ordered(next(iter(rankings.values())))
    weights = leg_weights(options)
    if options.fusion == "convex":
        normalised = []
        for name in weights:
            normalise = asked.normaliser(name)
            items = (*rankings[name], *filled.get(name, ()))
            normalised.append({item.id: normalise(item.score) for item in items})
        return convex(normalised, list(weights.values()))
    stretch = {
        "minmax": lambda ranking: min_max(ranking, options.candidates),
        "rrf": reciprocal_rank,
        "dbsf": distribution,
    }[options.fusion]
    return fused([rankings[name] for name in weights], stretch, list(weights.values()))


def leg_weights(options: SearchOptions) -> dict[LegName, float]:
    """Each leg's weight in the fusion; RRF and DBSF as published add their legs up as they are."""
    if options.fusion in ("rrf", "dbsf"):
        return {DENSE: 1.0, BM25: 1.0}
    return {DENSE: options.dense_weight, BM25: 1.0 - options.dense_weight}
