"""What a fusion is given, and what it returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.retrieval.vocabulary.ranking import Scored


@dataclass(frozen=True, slots=True)
class LegScores:
    """The scores of one leg.

    Attributes
    ----------
    ranking
        The candidates of the leg, best first.
    others
        Scores of candidates that only other legs ranked; filled for a fusion ``on_common_scale``.
    normalise
        Puts a score on the common scale of the legs: see `LegQuery.normalise`.
    """

    ranking: Sequence[Scored]
    others: Sequence[Scored]
    normalise: Callable[[float], float]


Fuse = Callable[[Mapping[str, LegScores], Mapping[str, float], int], list[Scored]]


@dataclass(frozen=True, slots=True)
class Fusion:
    """One entry of the registry.

    Attributes
    ----------
    fuse
        Function of the scores by leg, the weights by leg and the number of candidates that the
        options ask of each leg. It returns one ranking, ordered by score and then by id.
    on_common_scale
        True for a fusion that adds normalised scores. It needs the score of every candidate in
        every leg, and its result can be explained as a sum.
    weighted
        False for a fusion that has no weights, as it was published.
    """

    fuse: Fuse
    on_common_scale: bool = False
    weighted: bool = True

    def weights(self, given: Mapping[str, float], legs: Sequence[str]) -> dict[str, float]:
        """Return the weight of each leg: 1 for each where the fusion has no weights."""
        return leg_weights(given, legs) if self.weighted else dict.fromkeys(legs, 1.0)


def leg_weights(given: Mapping[str, float], legs: Sequence[str]) -> dict[str, float]:
    """Return the weight of each leg; legs without one share what is left of 1 equally.

    Raises
    ------
    ConfigurationError
        If a weight is given for a leg that the collection does not have.
    """
    if unknown := [name for name in given if name not in legs]:
        raise ConfigurationError(
            f"a weight is given for the leg '{unknown[0]}', but the collection has the legs "
            f"{', '.join(legs)}"
        )
    others = [name for name in legs if name not in given]
    share = max(0.0, 1.0 - sum(given.values())) / len(others) if others else 0.0
    return {name: given.get(name, share) for name in legs}
