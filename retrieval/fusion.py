"""Fusion of rankings: pure functions from each leg's ranking to one.

Every function takes rankings (best first) and returns one, ordered by score and then by id, so
that the same input always gives the same order.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from retrieval.types import Scored


def convex(
    rankings: Sequence[Sequence[Scored]], weights: Sequence[float], depth: int | None = None
) -> list[Scored]:
    """Weighted sum of each leg's min-max normalised scores.

    Parameters
    ----------
    rankings
        One ranking for each leg, best first, in any score range.
    weights
        One weight for each leg; they are used as given and should add up to 1.
    depth
        How many items of each leg set its scale; those below get 0, so that asking for more hits
        does not change the first ones.

    Returns
    -------
    list[Scored]
        Scores in ``[0, sum(weights)]``. An item absent from a leg gets 0 there, which is what the
        last item of that leg gets. A leg whose scores are all equal gives each of its items 1.

    Raises
    ------
    ValueError
        If there are not as many weights as rankings.

    Notes
    -----
    Bruch, Gai and Ingber, 'An Analysis of Fusion Functions for Hybrid Retrieval' (2022),
    arXiv 2210.11934, equation 3, with min-max over the candidates ('TM2C2' takes the theoretical
    minimum instead).
    """
    if len(weights) != len(rankings):
        raise ValueError(f"{len(rankings)} rankings need as many weights, not {len(weights)}")
    fused: dict[UUID, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for item in _min_max(ranking, depth or len(ranking)):
            fused[item.id] = fused.get(item.id, 0.0) + weight * item.score
    return ordered(Scored(id, score) for id, score in fused.items())


def ordered(items: Iterable[Scored]) -> list[Scored]:
    """Sort by score, highest first, and ties by id."""
    return sorted(items, key=lambda item: (-item.score, item.id.int))


def _min_max(ranking: Sequence[Scored], depth: int) -> list[Scored]:
    if not ranking:
        return []
    low = min(item.score for item in ranking[:depth])
    high = max(item.score for item in ranking[:depth])
    if high == low:
        return [Scored(item.id, float(item.score >= low)) for item in ranking]
    return [Scored(item.id, max(0.0, item.score - low) / (high - low)) for item in ranking]
