"""The fusions from the literature: pure functions.

Each takes the scores by leg, the weights by leg and the number of candidates of each leg, and
returns one ranking, ordered by score and then by id: the same input always gives the same order.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from uuid import UUID

from twotower.retrieval.search.fusion.protocol import LegScores
from twotower.retrieval.vocabulary.ranking import Scored, ordered

RRF_K = 60  # Cormack, Clarke and Buettcher (2009): ranks from 1; Qdrant's k=61 counts from 0
_DEVIATIONS = 3.0

Legs = Mapping[str, LegScores]
Weights = Mapping[str, float]


def convex(legs: Legs, weights: Weights, depth: int) -> list[Scored]:
    """Weighted sum of each leg's scores on the common scale.

    Notes
    -----
    Bruch, Gai and Ingber, 'An Analysis of Fusion Functions for Hybrid Retrieval' (2022),
    arXiv 2210.11934, equation 3. The normalisation matters most: the scales of the legs do not
    depend on the other candidates, so a leg that found nothing of value counts for little in this
    question; `min_max` gives each leg's best passage 1, however bad it is.
    """
    del depth
    normalised = {
        name: {item.id: leg.normalise(item.score) for item in (*leg.ranking, *leg.others)}
        for name, leg in legs.items()
    }
    return weighted_sum(normalised, weights)


def min_max(legs: Legs, weights: Weights, depth: int) -> list[Scored]:
    """Weighted sum of min-max normalised scores; ``depth`` items set the scale of each leg."""
    return _summed(legs, weights, lambda ranking: min_max_scores(ranking, depth))


def reciprocal_rank(legs: Legs, weights: Weights, depth: int) -> list[Scored]:
    """Sum of ``1 / (60 + rank)`` over the legs: see `reciprocal_rank_scores`."""
    del depth
    return _summed(legs, weights, reciprocal_rank_scores)


def distribution(legs: Legs, weights: Weights, depth: int) -> list[Scored]:
    """Sum of scores stretched by their standard deviation: see `distribution_scores`."""
    del depth
    return _summed(legs, weights, distribution_scores)


def _summed(
    legs: Legs, weights: Weights, score: Callable[[Sequence[Scored]], Mapping[UUID, float]]
) -> list[Scored]:
    return weighted_sum({name: score(leg.ranking) for name, leg in legs.items()}, weights)


def weighted_sum(legs: Mapping[str, Mapping[UUID, float]], weights: Weights) -> list[Scored]:
    """Rank by the weighted sum of scores; an item absent from a leg adds nothing there.

    Parameters
    ----------
    legs
        For each leg, score by id.
    """
    fused: dict[UUID, float] = {}
    for name, scores in legs.items():
        weight = weights[name]
        for id, score in scores.items():
            fused[id] = fused.get(id, 0.0) + weight * score
    return ordered(Scored(id, score) for id, score in fused.items())


def min_max_scores(ranking: Sequence[Scored], depth: int | None = None) -> dict[UUID, float]:
    """Stretch a leg's scores to [0, 1]; scores that are all equal become 1.

    Parameters
    ----------
    depth
        Number of items that set the scale; those below get 0, so that asking for more hits does
        not change the first ones.
    """
    if not ranking:
        return {}
    scale = [item.score for item in ranking[: depth or len(ranking)]]
    low, high = min(scale), max(scale)
    if high == low:
        return {item.id: float(item.score >= low) for item in ranking}
    return {item.id: max(0.0, item.score - low) / (high - low) for item in ranking}


def reciprocal_rank_scores(ranking: Sequence[Scored], k: int = RRF_K) -> dict[UUID, float]:
    """Give each item ``1 / (k + rank)``, ranks from 1.

    Notes
    -----
    Cormack, Clarke and Buettcher, 'Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods' (SIGIR 2009), with their k of 60. Qdrant counts ranks from 0 and uses k=2 by
    default: its ``1 / (k + rank)`` with k=61 is this one.
    """
    return {item.id: 1.0 / (k + rank) for rank, item in enumerate(ranking, start=1)}


def distribution_scores(ranking: Sequence[Scored]) -> dict[UUID, float]:
    """Stretch a leg's scores so that three standard deviations around their mean fill [0, 1].

    Notes
    -----
    Mazzeschi, 'Distribution-Based Score Fusion' (2023), with the sample's standard deviation and
    without clipping, as in Qdrant. A single score, or scores that are all equal, become 0.5.
    """
    scores = [item.score for item in ranking]
    deviation = stdev(scores) if len(scores) > 1 else 0.0
    if not deviation:
        return dict.fromkeys((item.id for item in ranking), 0.5)
    low = fmean(scores) - _DEVIATIONS * deviation
    width = 2 * _DEVIATIONS * deviation
    return {item.id: (item.score - low) / width for item in ranking}
