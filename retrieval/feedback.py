"""Pseudo-relevance feedback: the first hits move the question; pure functions.

Rocchio, 'Relevance Feedback in Information Retrieval' (1971), on the dense vector; for BM25 the
interpolation of RM3 (Abdul-Jaleel et al., 'UMass at TREC 2004'), with a passage's share of a term
in place of a language model's.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from retrieval.types import SparseVector
from retrieval.vectors import Vectors

MOST_TERMS = 20  # added to a question
_MOST_LOOKED_UP = 100


def moved(question: Vectors, passages: Sequence[Vectors], weight: float) -> Vectors:
    """Move a unit vector towards the mean direction of others: (d,) float32, a unit vector."""
    if not passages:
        return question
    centre = np.mean(passages, axis=0)
    length = np.linalg.norm(centre)
    if not length:
        return question
    mixed = (1 - weight) * question + weight * (centre / length)
    unit: Vectors = (mixed / np.linalg.norm(mixed)).astype(np.float32)
    return unit


def candidate_terms(passages: Sequence[SparseVector]) -> list[int]:
    """Choose the terms whose rarity is worth looking up: those that several passages share first.

    Ordered by in how many passages they are, then by their summed weight, then by number.
    """
    sums: dict[int, tuple[int, float]] = {}
    for passage in passages:
        for term, weight in zip(passage.indices, passage.values, strict=True):
            count, total = sums.get(term, (0, 0.0))
            sums[term] = (count + 1, total + weight)
    ranked = sorted(sums, key=lambda term: (-sums[term][0], -sums[term][1], term))
    return ranked[:_MOST_LOOKED_UP]


def expanded(
    question: SparseVector,
    passages: Sequence[SparseVector],
    idf: Mapping[int, float],
    weight: float,
) -> SparseVector:
    """Mix a question's terms with those that tell the passages from the rest of the collection.

    Parameters
    ----------
    idf
        Of the terms that may be added.

    Returns
    -------
    SparseVector
        Weights add up to 1: ``1 - weight`` spread over the question's own terms, ``weight`` over at
        most 20 terms of the passages, in proportion to their mean BM25 share.
    """
    share: dict[int, float] = {}
    for passage in passages:
        for term, value in zip(passage.indices, passage.values, strict=True):
            if term in idf:
                share[term] = share.get(term, 0.0) + value * idf[term]
    best = sorted(share, key=lambda term: (-share[term], term))[:MOST_TERMS]
    total = sum(share[term] for term in best)
    if not total or not question.indices:
        return question
    asked = sum(question.values)
    mixed = {
        term: (1 - weight) * value / asked
        for term, value in zip(question.indices, question.values, strict=True)
    }
    for term in best:
        mixed[term] = mixed.get(term, 0.0) + weight * share[term] / total
    return SparseVector(tuple(mixed), tuple(mixed.values()))
