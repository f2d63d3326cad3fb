"""Fusion of rankings: pure functions from each leg's ranking to one.

Every function takes rankings (best first, ranks from 1) and returns one, ordered by score and then
by id, so that the same input always gives the same order.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from statistics import fmean, stdev
from uuid import UUID

from retrieval.types import Scored

RRF_K = 60  # Cormack, Clarke and Buettcher (2009): ranks from 1; Qdrant's k=61 counts from 0
_DEVIATIONS = 3.0
_SCORE = attrgetter("score")
_STANDING_OUT = 5.0


def convex(legs: Sequence[Mapping[UUID, float]], weights: Sequence[float]) -> list[Scored]:
    """Weighted sum of each leg's normalised scores; an item absent from a leg adds nothing there.

    Parameters
    ----------
    legs
        For each leg, normalised score by id.
    weights
        One weight for each leg; they are used as given and should add up to 1.

    Raises
    ------
    ValueError
        If there are not as many weights as legs.

    Notes
    -----
    Bruch, Gai and Ingber, 'An Analysis of Fusion Functions for Hybrid Retrieval' (2022),
    arXiv 2210.11934, equation 3. What matters is the normalisation: `standing_out` and `coverage`
    have scales that do not depend on the other candidates, so a leg that found nothing of value
    counts for little in this question; `min_max` gives each leg's best passage 1, however bad.
    """
    if len(weights) != len(legs):
        raise ValueError(f"{len(legs)} legs need as many weights, not {len(weights)}")
    fused: dict[UUID, float] = {}
    for leg, weight in zip(legs, weights, strict=True):
        for id, score in leg.items():
            fused[id] = fused.get(id, 0.0) + weight * score
    return ordered(Scored(id, score) for id, score in fused.items())


def standing_out(cosine: float, mean: float, deviation: float) -> float:
    """Normalise a cosine by how far it stands out of the collection.

    Parameters
    ----------
    mean, deviation
        Of the question's cosines with a random sample of the collection's passages.

    Returns
    -------
    float
        1 at five standard deviations above the mean, 0 at the mean; below 0 for passages that are
        farther from the question than most.

    Notes
    -----
    The scale of 5 puts a good dense hit where full `coverage` puts a good lexical one, at about 1,
    so that an even weight is even; see docs/quality.md for what other scales gave.
    """
    return (cosine - mean) / (_STANDING_OUT * deviation)


def coverage(score: float, question_idf: float) -> float:
    """Normalise a BM25 score by what the question asks for.

    Parameters
    ----------
    question_idf
        Sum of the inverse document frequencies of the question's terms, of those that no passage
        has as well: a question whose words the collection does not know trusts BM25 less.

    Returns
    -------
    float
        About 1 for a passage of mean length that has every term once; 0 for one without any;
        at most ``k1 + 1``.
    """
    return score / question_idf if question_idf else 0.0


def min_max(ranking: Sequence[Scored], depth: int | None = None) -> dict[UUID, float]:
    """Stretch a leg's scores to [0, 1]; scores that are all equal become 1.

    Parameters
    ----------
    depth
        How many items set the scale; those below get 0, so that asking for more hits does not
        change the first ones.
    """
    if not ranking:
        return {}
    scale = [item.score for item in ranking[: depth or len(ranking)]]
    low, high = min(scale), max(scale)
    if high == low:
        return {item.id: float(item.score >= low) for item in ranking}
    return {item.id: max(0.0, item.score - low) / (high - low) for item in ranking}


def reciprocal_rank(ranking: Sequence[Scored], k: int = RRF_K) -> dict[UUID, float]:
    """Give each item ``1 / (k + rank)``, ranks from 1.

    Notes
    -----
    Cormack, Clarke and Buettcher, 'Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods' (SIGIR 2009), with their k of 60. Qdrant counts ranks from 0 and takes k=2
    unless told otherwise: its ``1 / (k + rank)`` with k=61 is this one.
    """
    return {item.id: 1.0 / (k + rank) for rank, item in enumerate(ranking, start=1)}


def distribution(ranking: Sequence[Scored]) -> dict[UUID, float]:
    """Stretch a leg's scores so that three standard deviations around their mean fill [0, 1].

    Notes
    -----
    Mazzeschi, 'Distribution-Based Score Fusion' (2023), with the sample's standard deviation and
    uncut, as Qdrant does. One score, or scores that are all equal, become 0.5.
    """
    scores = [item.score for item in ranking]
    deviation = stdev(scores) if len(scores) > 1 else 0.0
    if not deviation:
        return dict.fromkeys((item.id for item in ranking), 0.5)
    low = fmean(scores) - _DEVIATIONS * deviation
    width = 2 * _DEVIATIONS * deviation
    return {item.id: (item.score - low) / width for item in ranking}


def fused(
    rankings: Sequence[Sequence[Scored]],
    normalise: Callable[[Sequence[Scored]], dict[UUID, float]],
    weights: Sequence[float],
) -> list[Scored]:
    """Normalise each ranking and add them up."""
    return convex([normalise(ranking) for ranking in rankings], weights)


def ordered(items: Iterable[Scored]) -> list[Scored]:
    """Sort by score, highest first, and ties by id."""
    ranking = sorted(items, key=_SCORE, reverse=True)
    # Sorting by both takes three times as long, and most rankings have no tie.
    if any(one.score == other.score for one, other in pairwise(ranking)):
        ranking.sort(key=lambda item: (-item.score, item.id.int))
    return ranking
