"""Vectors of passages that were encoded lately: copies and letterheads are not encoded twice."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from twotower.retrieval.legs import Leg
from twotower.retrieval.vocabulary.vectors import Vector

_BYTES = 32 * 2**20  # 20,000 vectors of 384 dimensions


class RecentVectors:
    """The vectors of the last passages of one leg, by the digest of their text.

    Parameters
    ----------
    limit
        Maximum size of the vectors, in bytes; those used longest ago go first.
    """

    def __init__(self, limit: int = _BYTES) -> None:
        self._limit = limit
        self._size = 0
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()

    def encode(self, leg: Leg, texts: Sequence[str]) -> list[Vector]:
        """Return one vector for each text; each different text is encoded once."""
        keys = [blake2b(text.encode(), digest_size=16).digest() for text in texts]
        different = dict(zip(keys, texts, strict=True))
        unknown = {key: text for key, text in different.items() if key not in self._vectors}
        found = {key: self._vectors[key] for key in different if key not in unknown}
        if unknown:
            rows = leg.encode_passages(list(unknown.values()))
            found.update(zip(unknown, rows, strict=True))
        self._keep(found)
        return [found[key] for key in keys]

    def _keep(self, vectors: dict[bytes, Vector]) -> None:
        for key, vector in vectors.items():
            if key not in self._vectors:
                self._vectors[key] = vector
                self._size += _bytes(vector)
            self._vectors.move_to_end(key)
        while self._size > self._limit:
            self._size -= _bytes(self._vectors.popitem(last=False)[1])


def _bytes(vector: Vector) -> int:
    """Return the size of a vector; for a sparse one, of two numbers for each term."""
    return vector.nbytes if isinstance(vector, np.ndarray) else 16 * len(vector.indices)
