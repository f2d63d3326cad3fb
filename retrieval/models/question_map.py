"""The question map: a learned matrix on a question's vector; the passages stay as they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twotower.retrieval.models.packed import pack, unpack
from twotower.retrieval.vocabulary.vectors import Vectors, unit_rows


@dataclass(frozen=True, slots=True)
class QuestionMap:
    """One version of a map, as the card of a collection has it.

    Attributes
    ----------
    number
        Version, from 1.
    encoder
        Fingerprint of the encoder whose question vectors it maps.
    learned_at
        Time in ISO 8601.
    learned_from
        Number of questions by their source, such as ``{"labels": 225}``.
    verdict
        What was measured before it was kept: see `training.verdict.Verdict.to_json`.
    levels, scales
        The matrix less the identity, (d, d): for each row int8 levels and one float32 scale, in
        base64.
    """

    number: int
    encoder: str
    learned_at: str
    learned_from: Mapping[str, int]
    levels: str
    scales: str
    verdict: Mapping[str, Any] = field(default_factory=dict)

    @property
    def matrix(self) -> Vectors:
        """The matrix, (d, d) float32."""
        change = unpack(self.levels, self.scales)
        matrix: Vectors = np.eye(len(change), dtype=np.float32) + change
        return matrix

    @property
    def questions(self) -> int:
        """Number of questions that it was learned from."""
        return sum(self.learned_from.values())


def encoded(matrix: Vectors) -> tuple[str, str]:
    """Return the ``levels`` and ``scales`` of a matrix."""
    return pack(matrix - np.eye(len(matrix), dtype=np.float32))


def mapped(questions: Vectors, matrix: Vectors) -> Vectors:
    """Map question vectors: (n, d) float32, unit rows."""
    return unit_rows(questions @ matrix.T)
