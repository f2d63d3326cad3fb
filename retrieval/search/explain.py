"""Explanations of scores: numbers that can be added up by hand."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import numpy as np

from twotower.retrieval.index.collection import Collection
from twotower.retrieval.legs.bm25 import Bm25Leg, TermQuery
from twotower.retrieval.legs.dense import DenseLeg
from twotower.retrieval.legs.protocol import Leg
from twotower.retrieval.legs.standing_out import StandingOutQuery
from twotower.retrieval.search.candidates import Candidates, Query
from twotower.retrieval.search.fusion import FUSIONS
from twotower.retrieval.search.options import HYBRID, SearchOptions
from twotower.retrieval.search.results import Explanation, Sentence, TermWeight
from twotower.retrieval.search.sentences import sentence_spans
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.ranking import LegName
from twotower.retrieval.vocabulary.vectors import SparseVector, Vectors

_MOST_SENTENCES = 40  # of one passage; more are the rows of a table


class Explainer:
    """Takes scores apart.

    Parameters
    ----------
    legs
        The legs of the collection. The first dense one compares sentences with the question, the
        first BM25 one names the terms.
    """

    def __init__(self, collection: Collection, legs: Mapping[LegName, Leg]) -> None:
        self._collection = collection
        self.dense = next((leg for leg in legs.values() if isinstance(leg, DenseLeg)), None)
        self.bm25 = next((leg for leg in legs.values() if isinstance(leg, Bm25Leg)), None)

    def explain(
        self,
        candidates: Candidates,
        options: SearchOptions,
        chunks: Sequence[Chunk],
        *,
        closest: bool,
    ) -> dict[UUID, Explanation]:
        """Explain the hits of one question, by chunk id.

        Parameters
        ----------
        closest
            True to find the sentence that is closest to the question, which costs encoding.
        """
        query = candidates.query
        scored_by = query.searching(self.dense.card.name) if self.dense else None
        dense = query.legs[scored_by] if scored_by else None
        terms = self._term_query(query)
        sentences: Mapping[UUID, Sentence] = {}
        if closest and isinstance(dense, StandingOutQuery):
            sentences = self.closest(dense.vector, chunks)
        by_chunk = self._terms(query.text, terms, chunks)
        adds_up = options.mode == HYBRID and FUSIONS[options.fusion].on_common_scale
        background = dense.background if isinstance(dense, StandingOutQuery) else (0.0, 1.0)
        return {
            chunk.id: Explanation(
                parts=_parts(candidates, options, chunk.id) if adds_up else {},
                background=background if adds_up else None,
                question_idf=terms.total_idf,
                terms=by_chunk.get(chunk.id, ()),
                closest=sentences.get(chunk.id),
                added=terms.added,
            )
            for chunk in chunks
        }

    def closest(self, question: Vectors, chunks: Sequence[Chunk]) -> Mapping[UUID, Sentence]:
        """Find each passage's sentence that is closest to a question's vector of shape (d,)."""
        if not chunks or self.dense is None:
            return {}
        spans = [sentence_spans(chunk.text)[:_MOST_SENTENCES] for chunk in chunks]
        texts = [
            chunk.text[start:end]
            for chunk, own in zip(chunks, spans, strict=True)
            for start, end in own
        ]
        cosines = iter(self.dense.encode_passages(texts) @ question)
        closest = {}
        for chunk, own in zip(chunks, spans, strict=True):
            scores = [float(next(cosines)) for _ in own]
            best = int(np.argmax(scores))
            closest[chunk.id] = Sentence(*own[best], scores[best])
        return closest

    def _term_query(self, query: Query) -> TermQuery:
        """Return the query of the BM25 leg; one without terms where that leg did not run."""
        terms = query.legs.get(self.bm25.card.name) if self.bm25 else None
        return terms if isinstance(terms, TermQuery) else TermQuery(SparseVector((), ()))

    def _terms(
        self, question: str, query: TermQuery, chunks: Sequence[Chunk]
    ) -> dict[UUID, tuple[TermWeight, ...]]:
        """Weigh the query's terms in each passage."""
        if self.bm25 is None or not query.vector.indices:
            return {}
        words = {**query.added_words, **self.bm25.words(question)}
        weights = self._collection.vectors(self.bm25.card.name, [chunk.id for chunk in chunks])
        return {id: _weighed(query, words, passage) for id, passage in weights.items()}


def _parts(
    candidates: Candidates, options: SearchOptions, id: UUID
) -> dict[LegName, tuple[float, float]]:
    parts = {}
    for name, weight in candidates.query.weights(options).items():
        score = candidates.leg_scores(name, (id,)).get(id)
        normalise = candidates.query.legs[name].normalise
        parts[name] = (weight, normalise(score.score) if score else 0.0)
    return parts


def _weighed(
    query: TermQuery, words: Mapping[int, str], passage: SparseVector
) -> tuple[TermWeight, ...]:
    terms = [
        TermWeight(words[term], value, query.idf.get(term, 0.0), passage.weight(term))
        for term, value in zip(query.vector.indices, query.vector.values, strict=True)
        if term in words
    ]
    return tuple(
        sorted(terms, key=lambda term: (-term.score, -term.query_weight * term.idf, term.term))
    )
