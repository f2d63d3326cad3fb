"""How often each item of a stream comes: the estimate that the logQ correction needs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_PRIME = (1 << 61) - 1  # of Carter and Wegman's universal hashing


class StreamingFrequency:
    """Estimates the probability of each item in a batch, without a list of all items.

    For each item it learns the mean number of steps between two batches that contain the item; the
    inverse is the probability that a batch contains it.

    Parameters
    ----------
    buckets
        Number of buckets of each array. Items that fall into the same bucket are counted together.
    hashes
        Number of arrays, each with a hash function of its own.
    rate
        Weight of the newest interval, from 0 to 1. The estimate follows changes in about its
        inverse number of occurrences.
    seed
        Seed of the hash functions.

    Notes
    -----
    Yi et al., 'Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations'
    (RecSys 2019), algorithm 2, and its extension to several hash functions: with A the last step
    and B the mean interval of a bucket h, at step t

        B[h] = (1 - rate) * B[h] + rate * (t - A[h]);  A[h] = t;  p = 1 / max over arrays of B[h]

    The largest interval counts, because items that share a bucket make the interval shorter. The
    mean of the first intervals is taken as it is, in place of a start value that the rate forgets
    slowly.
    """

    def __init__(
        self, buckets: int = 1 << 20, hashes: int = 2, rate: float = 0.01, seed: int = 0
    ) -> None:
        random = np.random.default_rng(seed)
        self._factors = [int(x) for x in random.integers(1, _PRIME, hashes)]
        self._offsets = [int(x) for x in random.integers(0, _PRIME, hashes)]
        self._buckets = buckets
        self._rate = rate
        self._last = np.zeros((hashes, buckets), np.int64)
        self._interval = np.zeros((hashes, buckets), np.float64)
        self._seen = np.zeros((hashes, buckets), np.int64)
        self._step = 0

    def update(self, items: Sequence[int]) -> None:
        """Take in one batch; an item that it has several times counts once."""
        self._step += 1
        for row, buckets in enumerate(self._rows(items)):
            unique = np.unique(buckets)
            gap = self._step - self._last[row, unique]
            self._seen[row, unique] += 1
            share = np.maximum(self._rate, 1 / self._seen[row, unique])
            mean = self._interval[row, unique]
            self._interval[row, unique] = mean + share * (gap - mean)
            self._last[row, unique] = self._step

    def probabilities(self, items: Sequence[int]) -> NDArray[np.float64]:
        """Estimate the probability that a batch contains each item: (n,), 0 for unknown items."""
        intervals = np.stack(
            [self._interval[row, buckets] for row, buckets in enumerate(self._rows(items))]
        ).max(axis=0)
        zeros = np.zeros_like(intervals)
        found: NDArray[np.float64] = np.divide(1.0, intervals, out=zeros, where=intervals > 0)
        return found

    def _rows(self, items: Sequence[int]) -> list[NDArray[np.int64]]:
        """Return the bucket of each item in each array."""
        return [
            np.array([(a * int(item) + b) % _PRIME % self._buckets for item in items], np.int64)
            for a, b in zip(self._factors, self._offsets, strict=True)
        ]
