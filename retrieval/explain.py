"""Why a hit stands where it does: numbers that can be added up by hand."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import numpy as np

from retrieval.candidates import Found, leg_weights
from retrieval.collection import Collection
from retrieval.encoder import Encoder
from retrieval.lexical import Bm25
from retrieval.options import SearchOptions
from retrieval.sentences import sentence_spans
from retrieval.types import Chunk, Explanation, LegName, Sentence, SparseVector, TermWeight
from retrieval.vectors import Vectors

_MOST_SENTENCES = 40  # of one passage; more are the rows of a table


class Explainer:
    """Takes a score apart.

    Parameters
    ----------
    encoder
        Makes the encoder, where a question has a dense vector to compare sentences with.
    """

    def __init__(self, collection: Collection, bm25: Bm25, encoder: Callable[[], Encoder]) -> None:
        self._collection = collection
        self._bm25 = bm25
        self._encoder = encoder

    def explain(
        self, found: Found, options: SearchOptions, chunks: Sequence[Chunk], *, closest: bool
    ) -> dict[UUID, Explanation]:
        """Explain the hits of one question, by chunk id.

        Parameters
        ----------
        closest
            Whether the sentence that is closest to the question is looked for: it costs encoding.
        """
        asked = found.asked
        weights = self._collection.term_weights([chunk.id for chunk in chunks])
        sentences: Mapping[UUID, Sentence] = {}
        if closest and asked.dense is not None:
            sentences = self.closest(asked.dense, chunks)
        words = {**asked.added_words, **self._bm25.words(asked.text)}
        absolute = options.mode == "hybrid" and options.fusion == "convex"
        return {
            chunk.id: Explanation(
                parts=_parts(found, options, chunk.id) if absolute else {},
                background=asked.background if absolute else None,
                question_idf=asked.question_idf,
                terms=_terms(found, words, weights.get(chunk.id)),
                closest=sentences.get(chunk.id),
                added=asked.added,
            )
            for chunk in chunks
        }

    def closest(self, question: Vectors, chunks: Sequence[Chunk]) -> Mapping[UUID, Sentence]:
        """Find each passage's sentence that is closest to a question's vector of shape (d,)."""
        if not chunks:
            return {}
        spans = [sentence_spans(chunk.text)[:_MOST_SENTENCES] for chunk in chunks]
        texts = [
            chunk.text[start:end]
            for chunk, own in zip(chunks, spans, strict=True)
            for start, end in own
        ]
        cosines = iter(self._encoder().encode_passages(texts) @ question)
        closest = {}
        for chunk, own in zip(chunks, spans, strict=True):
            scores = [float(next(cosines)) for _ in own]
            best = int(np.argmax(scores))
            closest[chunk.id] = Sentence(*own[best], scores[best])
        return closest


def _parts(found: Found, options: SearchOptions, id: UUID) -> dict[LegName, tuple[float, float]]:
    parts = {}
    for name, weight in leg_weights(options).items():
        place = found.places(name, (id,)).get(id)
        parts[name] = (weight, found.asked.normaliser(name)(place.score) if place else 0.0)
    return parts


def _terms(
    found: Found, words: Mapping[int, str], passage: SparseVector | None
) -> tuple[TermWeight, ...]:
    asked = found.asked
    if asked.bm25 is None or passage is None:
        return ()
    terms = [
        TermWeight(words[term], value, asked.idf.get(term, 0.0), passage.weight(term))
        for term, value in zip(asked.bm25.indices, asked.bm25.values, strict=True)
        if term in words
    ]
    return tuple(sorted(terms, key=lambda term: (-term.score, -term.asked * term.idf, term.term)))
