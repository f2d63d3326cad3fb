"""Rerankers: a second, slower look at the first hits."""

from collections.abc import Sequence
from typing import Protocol

from retrieval.types import Chunk


class Reranker(Protocol):
    """Scores passages for a question; higher is better, on any scale."""

    def scores(self, question: str, chunks: Sequence[Chunk]) -> list[float]:
        """Score each chunk, in their order."""
