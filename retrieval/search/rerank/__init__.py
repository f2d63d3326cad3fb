"""Rerankers: a second, slower look at the best hits.

`RERANKERS` is the registry. A new reranker is one module beside this one and one line here.
"""

from twotower.retrieval.search.rerank.cross_encoder import CrossEncoder
from twotower.retrieval.search.rerank.late_interaction import LateInteraction
from twotower.retrieval.search.rerank.protocol import Reranker, RerankerType

RERANKERS: dict[str, RerankerType] = {
    "late-interaction": LateInteraction,
    "cross-encoder": CrossEncoder,
}

__all__ = ["RERANKERS", "Reranker", "RerankerType"]
