"""Rankings: scored items in a deterministic order."""

from collections.abc import Iterable
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

LegName = str

_SCORE = attrgetter("score")


# Hundreds of these are made for each question: a tuple takes a third of a frozen dataclass's time.
class Scored(NamedTuple):
    """One entry of a ranking: higher scores come first, equal ones by id."""

    id: UUID
    score: float


def ordered(items: Iterable[Scored]) -> list[Scored]:
    """Sort by score, highest first, and ties by id."""
    ranking = sorted(items, key=_SCORE, reverse=True)
    # Sorting by both takes three times as long, and most rankings have no tie.
    if any(one.score == other.score for one, other in pairwise(ranking)):
        ranking.sort(key=lambda item: (-item.score, item.id.int))
    return ranking
