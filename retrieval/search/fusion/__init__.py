"""Fusion: from the ranking of each leg to one ranking.

`FUSIONS` is the registry. A new fusion is one module beside this one and one line here.
"""

from twotower.retrieval.search.fusion.formulas import convex, distribution, min_max, reciprocal_rank
from twotower.retrieval.search.fusion.protocol import Fusion, LegScores, leg_weights

FUSIONS: dict[str, Fusion] = {
    "convex": Fusion(convex, on_common_scale=True),
    "minmax": Fusion(min_max),
    "rrf": Fusion(reciprocal_rank, weighted=False),
    "dbsf": Fusion(distribution, weighted=False),
}

__all__ = ["FUSIONS", "Fusion", "LegScores", "leg_weights"]
