"""Protocols of the models: a bi-encoder (question tower, passage tower) and a cross-encoder."""

from collections.abc import Sequence
from typing import Protocol

from twotower.retrieval.models.model_folder import ModelFolder
from twotower.retrieval.vocabulary.vectors import Vector, Vectors


class Encoder(Protocol):
    """A bi-encoder. Vectors are ``(n, d)`` float32 with unit rows, in the order of the texts.

    The score of a passage for a question is the dot product of their vectors.
    """

    @property
    def model(self) -> ModelFolder:
        """Files of the model, with its name, fingerprint and window."""

    @property
    def dimension(self) -> int:
        """Dimension d of a vector."""

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        """Encode questions with the question tower."""

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Encode passages with the passage tower; it ignores text beyond the window."""

    def question_tokens(self, text: str) -> Vectors:
        """Encode each token of a question: (tokens, d) float32, unit rows, no special tokens."""

    def passage_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """Encode each token of each passage, in the format of `question_tokens`."""


class LegEncoder(Protocol):
    """The model of one leg: a multi-vector, or weights of terms, for each text."""

    @property
    def model(self) -> ModelFolder:
        """Files of the model."""

    @property
    def dimension(self) -> int:
        """Length of a row of a multi-vector, or number of terms."""

    def encode_questions(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Encode questions, in their order."""

    def encode_passages(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Encode passages, in their order."""


class PairScorer(Protocol):
    """The network of a cross-encoder."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> Vectors:
        """Score (question, passage) pairs: (pairs,) or (pairs, labels), on the model's scale."""
