"""From questions to fused candidates: one encoding batch, one engine batch for all legs.

A second, small engine batch asks each leg for the scores of candidates that only other legs ranked,
so that a passage's fused score depends on the passage and the question alone, not on the number of
candidates.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.store.protocol import VectorQuery
from twotower.retrieval.legs.protocol import Leg, LegQuery
from twotower.retrieval.search.fusion import FUSIONS, LegScores
from twotower.retrieval.search.options import HYBRID, SearchOptions
from twotower.retrieval.search.results import LegScore
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.retrieval.vocabulary.filters import Filter
from twotower.retrieval.vocabulary.ranking import LegName, Scored, ordered

_READ_PER_DOCUMENT = 4  # passages that feedback reads for each document that it uses

Rankings = Mapping[LegName, list[Scored]]


@dataclass(frozen=True, slots=True)
class Query:
    """A question, encoded for each leg that runs."""

    text: str
    where: Filter
    legs: Mapping[LegName, LegQuery]

    @property
    def searches(self) -> dict[LegName, VectorQuery]:
        """The vector search of each leg."""
        return {name: leg.search(name, self.where) for name, leg in self.legs.items()}

    def searching(self, vector: str) -> LegName | None:
        """Return the leg whose scores are those of a named vector, if it runs."""
        found = (name for name, search in self.searches.items() if search.name == vector)
        return next(found, None)

    def weights(self, options: SearchOptions) -> dict[LegName, float]:
        """Return the weight of each leg in the fusion, as far as the leg knows the question."""
        weights = FUSIONS[options.fusion].weights(options.weights, list(self.legs))
        return {name: weight * self.legs[name].trust for name, weight in weights.items()}


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates for one question.

    Attributes
    ----------
    rankings
        The ranking of each leg that ran, best first.
    others
        Each leg's scores of passages that only other legs ranked.
    ranking
        The fused ranking.
    exhausted
        True where no leg has more candidates.
    all_legs
        Names of the collection's legs, also of those that did not run, but not of a leg in whose
        place another one was searched.
    """

    query: Query
    rankings: Rankings
    others: Rankings
    ranking: list[Scored]
    exhausted: bool
    all_legs: tuple[LegName, ...]

    def scores(self, name: LegName) -> list[float]:
        """Return a leg's scores, best first; empty where the leg did not run."""
        return [item.score for item in self.rankings.get(name, ())]

    def leg_scores(self, name: LegName, ids: Container[UUID]) -> dict[UUID, LegScore]:
        """Return rank and score in a leg of those of the passages that it has.

        The rank is ``None`` where only another leg ranked the passage.
        """
        ranked = enumerate(self.rankings.get(name, ()), start=1)
        scores = {item.id: LegScore(rank, item.score) for rank, item in ranked if item.id in ids}
        for item in self.others.get(name, ()):
            if item.id in ids:
                scores[item.id] = LegScore(None, item.score)
        return scores


class Searcher:
    """All legs over one collection.

    Parameters
    ----------
    legs
        By name, in the order of the collection's card.
    """

    def __init__(self, collection: Collection, legs: Mapping[LegName, Leg]) -> None:
        self._collection = collection
        self._legs = legs

    def encode(self, texts: Sequence[str], wheres: Sequence[Filter], mode: str) -> list[Query]:
        """Encode questions for the legs of a mode, all in one batch.

        Raises
        ------
        ConfigurationError
            If the collection has no such leg.
        """
        encoded = {
            name: self._legs[name].encode_questions(texts, self._collection)
            for name in self._names(mode)
        }
        return [
            Query(text, where, {name: queries[number] for name, queries in encoded.items()})
            for number, (text, where) in enumerate(zip(texts, wheres, strict=True))
        ]

    def find(
        self, queries: Sequence[Query], options: SearchOptions, depth: int
    ) -> list[Candidates]:
        """Rank passages for every query: one engine batch, and one for missing scores."""
        batches = [query.searches for query in queries]
        answers = iter(
            self._collection.search(
                [search for batch in batches for search in batch.values()], depth
            )
        )
        rankings = [{name: next(answers) for name in batch} for batch in batches]
        others: list[dict[LegName, list[Scored]]] = [{} for _ in queries]
        if options.mode == HYBRID and FUSIONS[options.fusion].on_common_scale:
            others = self._missing_scores(queries, rankings, depth)
        return [
            Candidates(
                query,
                ranking,
                more,
                _fused(query, ranking, more, options),
                all(len(items) < depth for items in ranking.values()),
                tuple(n for n in self._legs if n in query.legs or n not in self._replaced),
            )
            for query, ranking, more in zip(queries, rankings, others, strict=True)
        ]

    def expand(self, candidates: Candidates, options: SearchOptions) -> Query:
        """Expand a query with the best passages of its own ranking."""
        query = candidates.query
        chunks = self._best_of_each_document(candidates, options.feedback)
        return replace(
            query,
            legs={
                name: self._legs[name].expand(
                    leg, chunks, self._collection, options.feedback_weight
                )
                for name, leg in query.legs.items()
            },
        )

    @property
    def _replaced(self) -> set[LegName]:
        """Legs that another leg searches in their place."""
        return {str(leg.card.made_by.get("prefix_of", "")) for leg in self._legs.values()}

    def _names(self, mode: str) -> list[LegName]:
        if mode == HYBRID:
            return [name for name in self._legs if name not in self._replaced]
        if mode not in self._legs:
            raise ConfigurationError(
                f"collection '{self._collection.name}' has no leg '{mode}': search with the mode "
                f"{HYBRID}, or with one of {', '.join(self._legs)}"
            )
        return [mode]

    def _best_of_each_document(self, candidates: Candidates, most: int) -> list[Chunk]:
        """The best passages, one of each document: several of one would outvote the others."""
        ids = [item.id for item in candidates.ranking[: _READ_PER_DOCUMENT * most]]
        best: dict[str, Chunk] = {}
        for chunk in self._collection.chunks(ids):
            best.setdefault(chunk.provenance.source, chunk)
        return list(best.values())[:most]

    def _missing_scores(
        self, queries: Sequence[Query], rankings: Sequence[Rankings], depth: int
    ) -> list[dict[LegName, list[Scored]]]:
        """Ask each leg for the scores of passages that only other legs ranked.

        A leg that returned fewer than ``depth`` candidates has no score for any other passage.
        """
        scores: list[dict[LegName, list[Scored]]] = [{} for _ in queries]
        missing: list[tuple[dict[LegName, list[Scored]], LegName, VectorQuery]] = []
        for query, ranking, own in zip(queries, rankings, scores, strict=True):
            ranked = {name: {item.id for item in items} for name, items in ranking.items()}
            for name, search in query.searches.items():
                ids = set().union(*ranked.values()) - ranked[name]
                if ids and len(ranked[name]) >= depth:
                    alone = replace(search, where=Filter(ids=tuple(ids)), among=None)
                    missing.append((own, name, alone))
        if missing:
            most = max(len(search.where.ids or ()) for _, _, search in missing)
            answers = self._collection.search([search for _, _, search in missing], most)
            for (own, name, _), answer in zip(missing, answers, strict=True):
                own[name] = answer
        return scores


def _fused(
    query: Query, rankings: Rankings, others: Rankings, options: SearchOptions
) -> list[Scored]:
    if len(rankings) == 1:
        return ordered(next(iter(rankings.values())))
    fusion = FUSIONS[options.fusion]
    legs = {
        name: LegScores(ranking, others.get(name, ()), query.legs[name].normalise)
        for name, ranking in rankings.items()
    }
    return fusion.fuse(legs, query.weights(options), options.candidates)
