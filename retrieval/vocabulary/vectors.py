"""Vectors as arrays, in a module of their own: the other values are imported without NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from twotower.retrieval.vocabulary.errors import ConfigurationError

Vectors = NDArray[np.float32]
VectorKind = Literal["dense", "sparse", "weighted", "multi"]


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Indices of terms and their weights, in the same order."""

    indices: tuple[int, ...]
    values: tuple[float, ...]

    def weight(self, index: int) -> float:
        """The weight of one term; 0 if the vector does not have it."""
        return self.values[self.indices.index(index)] if index in self.indices else 0.0


Vector = Vectors | SparseVector  # (d,) float32 where dense, (t, d) where multi, or sparse
Rows = Vectors | Sequence[Vector]  # one vector for each of several texts


def unit_rows(rows: Any) -> Vectors:
    """Scale rows to length one, in float32.

    Raises
    ------
    ConfigurationError
        If a row is zero or not finite.
    """
    rows = np.asarray(rows, dtype=np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not norms.all():
        raise ConfigurationError(
            "the encoder returned vectors that are zero or not finite: its weights are broken, or "
            "its precision is too low (set TWOTOWER_PRECISION=fp32)"
        )
    unit: Vectors = rows / norms
    return unit


def require_finite(vector: Vectors) -> Vectors:
    """Refuse a vector that no engine can rank; the embedded engine would accept it.

    Raises
    ------
    ValueError
        If a value is not finite.
    """
    if not np.isfinite(vector).all():
        raise ValueError("a vector has values that are not finite: the encoder is broken")
    return vector
