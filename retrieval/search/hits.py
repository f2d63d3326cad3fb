"""From candidates to hits: rerank, choose, explain and judge."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from twotower.retrieval.index.collection import Collection
from twotower.retrieval.legs.bm25 import TermQuery
from twotower.retrieval.legs.standing_out import StandingOutQuery
from twotower.retrieval.search.abstention import features, judge
from twotower.retrieval.search.candidates import Candidates, Searcher
from twotower.retrieval.search.explain import Explainer
from twotower.retrieval.search.options import HYBRID, NO_RERANKER, OPTIONS, SearchOptions
from twotower.retrieval.search.rerank import Reranker
from twotower.retrieval.search.results import Hit, Judgement, Reranked, SearchResult
from twotower.retrieval.search.selection import (
    at_most_per_document,
    combined,
    diverse,
    without_copies,
)
from twotower.retrieval.vocabulary.documents import Chunk, Provenance
from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.retrieval.vocabulary.ranking import Scored

_LEAST_READ = 20  # passages; so that few hits have all their copies named
_RERANK_BATCH = 16  # passages between two checks of the time budget
_MAX_DEPTH = int(OPTIONS["depth"].most or 0)


class HitSelector:
    """Selects the hits of a search from its candidates.

    Parameters
    ----------
    reranker
        Function that returns the reranker of a name.
    clock
        Function that returns the time in seconds.
    """

    def __init__(
        self,
        collection: Collection,
        searcher: Searcher,
        explainer: Explainer,
        reranker: Callable[[str], Reranker],
        clock: Callable[[], float],
    ) -> None:
        self._collection = collection
        self._calibrations = collection.card().calibrations
        self._searcher = searcher
        self._explainer = explainer
        self._reranker = reranker
        self._clock = clock

    def result(
        self,
        candidates: Candidates,
        options: SearchOptions,
        started: float,
        *,
        explain: bool,
        closest: bool,
    ) -> SearchResult:
        """Select the hits for one question.

        Parameters
        ----------
        started
            Time at which the search began, for its duration and time budget.
        explain, closest
            See `Retriever.retrieve`.
        """
        chunks = _Chunks(self._collection)
        candidates = self._deepened(candidates, options, chunks)
        ranking, scores, out_of_time = self._reranked(candidates, options, chunks, started)
        chosen, copies = self._chosen(ranking, options, chunks)
        hits = _hits(candidates, ranking, scores, chosen, chunks)
        outdated = self._collection.outdated([hit.chunk.provenance.source for hit in hits])
        hits = [
            replace(
                hit,
                copies=chunks.places(copies.get(hit.chunk.id, ())),
                outdated=outdated.get(hit.chunk.provenance.source, ""),
            )
            for hit in hits
        ]
        if explain:
            explanations = self._explainer.explain(
                candidates, options, [hit.chunk for hit in hits], closest=closest
            )
            hits = [replace(hit, explanation=explanations[hit.chunk.id]) for hit in hits]
        if options.expand:
            hits = [self._expanded(hit, options.expand) for hit in hits]
        return SearchResult(
            question=candidates.query.text,
            options=options,
            hits=tuple(hits),
            judgement=self._judgement(candidates, scores, options) if hits else Judgement(),
            out_of_time=out_of_time,
            seconds=self._clock() - started,
        )

    def _reranked(
        self, candidates: Candidates, options: SearchOptions, chunks: "_Chunks", started: float
    ) -> tuple[list[Scored], dict[UUID, float], bool]:
        """Score the best candidates in batches, until all are scored or the time is up."""
        if options.rerank == NO_RERANKER:
            return candidates.ranking, {}, False
        reranker = self._reranker(options.rerank)
        best = [item.id for item in candidates.ranking[: options.rerank_depth]]
        scores: dict[UUID, float] = {}
        out_of_time = False
        for start in range(0, len(best), _RERANK_BATCH):
            if options.budget_ms and (self._clock() - started) * 1000 >= options.budget_ms:
                out_of_time = True
                break
            batch = chunks.read(best[start : start + _RERANK_BATCH])
            given = reranker.scores(candidates.query.text, batch)
            if not all(math.isfinite(score) for score in given):
                raise ConfigurationError(
                    f"the reranker {options.rerank} returned a score that is not a number, so its "
                    f"weights are damaged: set the option rerank to {NO_RERANKER}, or choose "
                    "another model"
                )
            scores |= {chunk.id: score for chunk, score in zip(batch, given, strict=True)}
        return combined(candidates.ranking, scores, options.rerank_weight), scores, out_of_time

    def _deepened(
        self, candidates: Candidates, options: SearchOptions, chunks: "_Chunks"
    ) -> Candidates:
        """Search deeper while copies, or too few documents, leave too few candidates for hits."""
        depth = options.candidates
        while True:
            kept, _ = _kept(candidates.ranking, options, chunks)
            if len(kept) >= options.limit or candidates.exhausted or depth >= _MAX_DEPTH:
                break
            depth = min(4 * depth, _MAX_DEPTH)
            candidates = self._searcher.find([candidates.query], options, depth)[0]
        return candidates

    def _chosen(
        self, ranking: list[Scored], options: SearchOptions, chunks: "_Chunks"
    ) -> tuple[list[Scored], dict[UUID, list[UUID]]]:
        """Cut the ranking to the hits; a passage that was removed during the search is left out.

        Returns
        -------
        tuple
            The hits, and the copies of each by its id.
        """
        ranking, copies = _kept(ranking, options, chunks)
        if options.diversity and self._explainer.dense:
            ranking = ranking[: options.candidates]
            name = self._explainer.dense.card.name
            vectors = self._collection.vectors(name, [item.id for item in ranking])
            ranking = [item for item in ranking if item.id in vectors]
            ranking = diverse(ranking, vectors, options.diversity, options.limit)
        ranking = ranking[: options.limit]
        chunks.read([item.id for item in ranking])
        return [item for item in ranking if chunks.has(item.id)], copies

    def _judgement(
        self, candidates: Candidates, reranked: Mapping[UUID, float], options: SearchOptions
    ) -> Judgement:
        """Judge by the dense and the BM25 leg; without both, nothing is known."""
        dense, bm25 = self._explainer.dense, self._explainer.bm25
        if options.mode != HYBRID or dense is None or bm25 is None:
            return Judgement()
        scored_by = candidates.query.searching(dense.card.name)
        if scored_by is None:
            return Judgement()
        dense_query = candidates.query.legs[scored_by]
        term_query = candidates.query.legs[bm25.card.name]
        assert isinstance(dense_query, StandingOutQuery)
        assert isinstance(term_query, TermQuery)
        described = features(
            candidates.scores(scored_by),
            dense_query.background,
            term_query.normalise(max(candidates.scores(bm25.card.name), default=0.0)),
            max(reranked.values()) if reranked else None,
        )
        calibration = self._calibrations.get(options.rerank)
        if calibration is None or not set(calibration.weights) <= set(described):
            return Judgement(features=described)
        return judge(calibration, described)

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

    def places(self, ids: Sequence[UUID]) -> tuple[Provenance, ...]:
        return tuple(self._known[id].provenance for id in ids)

    @property
    def sources(self) -> dict[UUID, str]:
        return {id: chunk.provenance.source for id, chunk in self._known.items()}

    @property
    def contents(self) -> dict[UUID, Hashable]:
        """What two passages have in common if one is a copy of the other: headings and text."""
        return {
            id: (chunk.provenance.headings, " ".join(chunk.text.split()))
            for id, chunk in self._known.items()
        }


def _hits(
    candidates: Candidates,
    ranking: Sequence[Scored],
    scores: Mapping[UUID, float],
    chosen: Sequence[Scored],
    chunks: _Chunks,
) -> list[Hit]:
    """Give each chosen passage the evidence for its rank."""
    ids = {item.id for item in chosen}
    fused = {
        item.id: (position, item.score)
        for position, item in enumerate(candidates.ranking)
        if item.id in ids
    }
    positions = {item.id: position for position, item in enumerate(ranking) if item.id in ids}
    legs = {name: candidates.leg_scores(name, ids) for name in candidates.all_legs}
    hits: list[Hit] = []
    for item in chosen:
        position, score = fused[item.id]
        reranked = None
        if item.id in scores:
            reranked = Reranked(scores[item.id], position - positions[item.id])
        hits.append(
            Hit(
                rank=len(hits) + 1,
                score=item.score,
                chunk=chunks.one(item.id),
                legs={name: own.get(item.id) for name, own in legs.items()},
                fused=score,
                reranked=reranked,
            )
        )
    return hits


def _kept(
    ranking: list[Scored], options: SearchOptions, chunks: _Chunks
) -> tuple[list[Scored], dict[UUID, list[UUID]]]:
    """Drop copies and limit the passages of each document, reading no more than needed.

    Returns
    -------
    tuple
        What is kept, as far as it is needed, and the copies of each passage by its id.
    """
    enough = options.candidates if options.diversity else options.limit
    read = max(2 * enough, _LEAST_READ)
    while True:
        best = ranking[:read]
        chunks.read([item.id for item in best])
        kept, copies = without_copies(best, chunks.contents)
        if options.per_document:
            kept = at_most_per_document(kept, options.per_document, chunks.sources)
        if len(kept) >= enough or read >= len(ranking):
            return kept, copies
        read *= 2
