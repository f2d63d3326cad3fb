"""The two towers: questions and passages to vectors that meet in a dot product."""

from collections.abc import Sequence
from typing import Protocol

from retrieval.model_folder import ModelFolder
from retrieval.vectors import Vectors


class Encoder(Protocol):
    """A bi-encoder. ``(n, d)`` float32 out, unit rows, in the order of the texts."""

    @property
    def model(self) -> ModelFolder:
        """The model's files: name, fingerprint and window."""

    @property
    def dimension(self) -> int:
        """The d of a vector."""

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        """Run the question tower."""

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Run the passage tower; what lies beyond the window is not read."""

    def question_tokens(self, text: str) -> Vectors:
        """Encode each token of a question: (tokens, d) float32, unit rows, no special tokens."""

    def passage_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """Encode each token of passages, as above."""


class PairScorer(Protocol):
    """A cross-encoder's network."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> Vectors:
        """Score (question, passage) pairs: (pairs,) or (pairs, labels), on the model's scale."""
