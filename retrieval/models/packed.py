"""A matrix in one byte a number, as text: for index cards."""

import base64

import numpy as np

from twotower.retrieval.vocabulary.vectors import Vectors

_LEVELS = 127


def pack(matrix: Vectors) -> tuple[str, str]:
    """Return int8 levels and one float32 scale for each row, in base64."""
    scales = np.maximum(np.abs(matrix).max(axis=1), 1e-12) / _LEVELS
    levels = np.rint(matrix / scales[:, None]).astype(np.int8)
    return (
        base64.b64encode(levels.tobytes()).decode("ascii"),
        base64.b64encode(scales.astype("<f4").tobytes()).decode("ascii"),
    )


def unpack(levels: str, scales: str) -> Vectors:
    """Return the matrix, float32, of what `pack` returned."""
    each = np.frombuffer(base64.b64decode(scales), dtype="<f4")
    numbers = np.frombuffer(base64.b64decode(levels), dtype=np.int8)
    matrix: Vectors = (numbers.reshape(len(each), -1) * each[:, None]).astype(np.float32)
    return matrix
