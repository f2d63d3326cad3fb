"""The legs of a collection: each makes one named vector of a passage and searches it.

`LEGS` is the registry. A new leg is one module beside this one and one line here.
"""

from collections.abc import Iterable, Sequence

from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.legs.bm25 import Bm25Leg
from twotower.retrieval.legs.dense import DenseLeg
from twotower.retrieval.legs.network import ColbertLeg, SpladeLeg
from twotower.retrieval.legs.protocol import Leg, LegType, Models
from twotower.retrieval.legs.short import ShortLeg
from twotower.retrieval.legs.views import ViewsLeg
from twotower.retrieval.vocabulary.errors import ConfigurationError

LEGS: dict[str, LegType] = {
    "dense": DenseLeg,
    "bm25": Bm25Leg,
    "short": ShortLeg,
    "views": ViewsLeg,
    "colbert": ColbertLeg,
    "splade": SpladeLeg,
}


def create_legs(names: Iterable[str], models: Models, texts: Sequence[str]) -> dict[str, Leg]:
    """Make the legs of a new collection.

    Parameters
    ----------
    texts
        The first passages of the collection; BM25 measures its mean passage length on them.

    Raises
    ------
    ConfigurationError
        If a name is not in the registry.
    """
    return {name: _leg_type(name).create(name, models, texts) for name in names}


def open_legs(card: IndexCard, models: Models) -> dict[str, Leg]:
    """Make the legs that a collection's card lists, in its order; no model is loaded yet.

    Raises
    ------
    ConfigurationError
        If the card lists a leg that is not in the registry.
    """
    return {leg.name: _leg_type(leg.name).open(leg, models) for leg in card.legs}


def _leg_type(name: str) -> LegType:
    if name not in LEGS:
        raise ConfigurationError(
            f"the leg '{name}' is unknown to this version of twotower: known are {', '.join(LEGS)}"
        )
    return LEGS[name]


__all__ = ["LEGS", "Leg", "LegType", "Models", "create_legs", "open_legs"]
