"""Vectors as arrays; apart from the vocabulary, which starts without NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import ConfigurationError

Vectors = NDArray[np.float32]


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
            "the encoder gave vectors that are zero or not finite: its weights are broken, or "
            "its precision is too low (set TWOTOWER_PRECISION=fp32)"
        )
    unit: Vectors = rows / norms
    return unit


def require_finite(vector: Vectors) -> Vectors:
    """Refuse what no engine can rank; the embedded one would take it.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    if not np.isfinite(vector).all():
        raise ValueError("a dense vector has values that are not finite; the encoder is broken")
    return vector
