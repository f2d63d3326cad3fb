"""What a reranker offers, and what it is made from."""

from collections.abc import Sequence
from typing import Protocol

from twotower.retrieval.legs.protocol import Models
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.vocabulary.documents import Chunk


class Reranker(Protocol):
    """Scores passages for a question; a higher score is better, on any scale."""

    def scores(self, question: str, chunks: Sequence[Chunk]) -> list[float]:
        """Score each chunk, in their order."""


class RerankerType(Protocol):
    """An entry of the registry: a class of rerankers."""

    def create(self, encoder: Encoder, models: Models) -> Reranker:
        """Make the reranker; models are loaded when they first score.

        Parameters
        ----------
        encoder
            The encoder of the collection that is searched.
        models
            The other models of the program.
        """
