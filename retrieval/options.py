"""How one search is done: every choice a person has, with its default."""

from dataclasses import dataclass, field
from typing import Literal

from retrieval.errors import ConfigurationError
from retrieval.filters import Filter
from retrieval.types import Mode

Fusion = Literal["convex", "minmax", "rrf", "dbsf"]
Rerank = Literal["none", "late-interaction", "cross-encoder"]

MAX_LIMIT = 10_000
MIN_DEPTH = 100


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """One way to search.

    Attributes
    ----------
    mode
        Both legs, or one of them.
    limit
        The most hits.
    fusion
        How the legs become one ranking: see `retrieval.fusion`.
    dense_weight
        Weight of the dense leg in [0, 1]; the BM25 leg has the rest.
    depth
        Candidates of each leg; 0 takes 100, or the limit where that is more.
    where
        Which passages may be found at all.
    per_document
        The most hits of one document; 0: no such limit.
    expand
        How many chunks before and after each hit come with it.
    diversity
        In [0, 1]: 0 orders by relevance alone, 1 by difference from the hits before alone.
    rerank
        What reorders the first hits.
    rerank_depth
        How many hits are reranked.
    rerank_weight
        The reranker's share of the final score, in [0, 1]; the fused score has the rest.
    budget_ms
        Reranking ends when so much time went by since the question came; 0: never.
    feedback
        How many hits of a first pass move the question; 0: none.
    feedback_weight
        Their share of the question that is then asked, in [0, 1].
    """

    mode: Mode = "hybrid"
    limit: int = 10
    fusion: Fusion = "convex"
    dense_weight: float = 0.5
    depth: int = 0
    where: Filter = field(default_factory=Filter)
    per_document: int = 0
    expand: int = 0
    diversity: float = 0.0
    rerank: Rerank = "none"
    rerank_depth: int = 50
    rerank_weight: float = 0.4
    budget_ms: int = 0
    feedback: int = 0
    feedback_weight: float = 0.25

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises
        ------
        ConfigurationError
            Says which option, and what it may be.
        """
        if not 1 <= self.limit <= MAX_LIMIT:
            raise ConfigurationError(
                f"the limit is {self.limit}: ask for at least 1 hit and at most {MAX_LIMIT:,}"
            )
        if self.depth and self.depth < self.limit:
            raise ConfigurationError(
                f"the depth is {self.depth}, but {self.limit} hits are asked for: raise the depth "
                "(0 chooses it), or lower the limit"
            )
        for name in ("per_document", "expand", "rerank_depth", "budget_ms", "feedback"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{_said(name)} is {getattr(self, name)}: 0 or more")
        for name in ("dense_weight", "diversity", "rerank_weight", "feedback_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigurationError(f"{_said(name)} is {getattr(self, name)}: between 0 and 1")

    @property
    def candidates(self) -> int:
        """How many candidates each leg gives."""
        return self.depth or max(MIN_DEPTH, self.limit)


def _said(name: str) -> str:
    return name.replace("_", " ")
