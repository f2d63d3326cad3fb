"""A query whose scores count by how far they stand out from those of other passages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from twotower.retrieval.index.store.protocol import VectorQuery
from twotower.retrieval.vocabulary.filters import Filter
from twotower.retrieval.vocabulary.ranking import LegName
from twotower.retrieval.vocabulary.vectors import SparseVector, Vector, Vectors

_DEVIATIONS_TO_ONE = 5.0
_LEAST_DEVIATION = 0.01  # of scores; a smaller one comes from copies, or from a single passage


V = TypeVar("V", Vectors, SparseVector)


@dataclass(frozen=True, slots=True)
class StandingOutQuery(Generic[V]):
    """A question's vector, and the scores of unrelated passages.

    Attributes
    ----------
    background
        Mean and standard deviation of the question's scores with a sample of the collection.
    among
        See `VectorQuery.among`.
    name
        Named vector that is searched, where it is not that of the leg.
    trust
        See `LegQuery.trust`.
    """

    vector: V
    background: tuple[float, float] = (0.0, 1.0)
    among: tuple[VectorQuery, int] | None = None
    trust: float = 1.0
    name: LegName = ""

    def search(self, name: LegName, where: Filter) -> VectorQuery:
        """See `LegQuery.search`."""
        return VectorQuery(self.name or name, self.vector, where, self.among)

    def normalise(self, score: float) -> float:
        """See `LegQuery.normalise`."""
        return standing_out(score, *self.background)


def standing_out(score: float, mean: float, deviation: float) -> float:
    """Normalise a score by its distance from the collection's mean.

    Parameters
    ----------
    mean, deviation
        Mean and standard deviation of the question's scores with a random sample of the
        collection's passages.

    Returns
    -------
    float
        1 at five standard deviations above the mean, 0 at the mean; below 0 for passages that are
        farther from the question than most.

    Notes
    -----
    The scale of 5 puts a good dense hit where full `coverage` puts a good lexical one, at about 1,
    so that an even weight is even; see docs/quality.md for the figures of other scales.
    """
    return (score - mean) / (_DEVIATIONS_TO_ONE * deviation)


def background(scores: Vectors) -> tuple[float, float]:
    """Return mean and standard deviation of a sample's scores: 0 and 1 without a sample."""
    if not len(scores):
        return 0.0, 1.0
    return float(scores.mean()), max(float(scores.std()), _LEAST_DEVIATION)


def scores_of(query: Vector, passages: Sequence[Vector]) -> Vectors:
    """Score passages as the store does: MaxSim of multi-vectors, dot product of weights."""
    if isinstance(query, SparseVector):
        weights = dict(zip(query.indices, query.values, strict=True))
        return np.array([_dot(weights, passage) for passage in passages], np.float32)
    return np.array([(query @ np.asarray(rows).T).max(axis=1).sum() for rows in passages])


def _dot(weights: dict[int, float], passage: Vector) -> float:
    assert isinstance(passage, SparseVector)  # of the same leg
    return sum(
        weights.get(term, 0.0) * value
        for term, value in zip(passage.indices, passage.values, strict=True)
    )
