"""The question map: a learned matrix on a question's vector; the passages stay as they are."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twotower.retrieval.vocabulary.vectors import Vectors, unit_rows

_LEVELS = 127  # of int8


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
        scales = np.frombuffer(base64.b64decode(self.scales), dtype="<f4")
        levels = np.frombuffer(base64.b64decode(self.levels), dtype=np.int8)
        change = levels.reshape(len(scales), len(scales)) * scales[:, None]
        matrix: Vectors = np.eye(len(scales), dtype=np.float32) + change.astype(np.float32)
        return matrix

    @property
    def questions(self) -> int:
        """Number of questions that it was learned from."""
        return sum(self.learned_from.values())


def encoded(matrix: Vectors) -> tuple[str, str]:
    """Return the ``levels`` and ``scales`` of a matrix."""
    change = matrix - np.eye(len(matrix), dtype=np.float32)
    scales = np.maximum(np.abs(change).max(axis=1), 1e-12) / _LEVELS
    levels = np.rint(change / scales[:, None]).astype(np.int8)
    return (
        base64.b64encode(levels.tobytes()).decode("ascii"),
        base64.b64encode(scales.astype("<f4").tobytes()).decode("ascii"),
    )


def mapped(questions: Vectors, matrix: Vectors) -> Vectors:
    """Map question vectors: (n, d) float32, unit rows."""
    return unit_rows(questions @ matrix.T)
