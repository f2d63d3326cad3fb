"""The estimator of frequencies in a stream."""

import numpy as np
import pytest

from twotower.training.frequency import StreamingFrequency

RANDOM = np.random.default_rng(11)


def batches(chances, steps):
    """Yield batches in which item n is with probability ``chances[n]``."""
    for _ in range(steps):
        yield np.flatnonzero(RANDOM.random(len(chances)) < chances).tolist()


def test_estimates_are_within_5_percent_of_the_truth_after_convergence():
    chances = np.array([0.5, 0.2, 0.1, 0.05, 0.02])
    estimate = StreamingFrequency(buckets=4096, rate=0.001)
    for batch in batches(chances, 40_000):
        estimate.update(batch)
    found = estimate.probabilities(range(5))
    assert np.abs(found / chances - 1).max() < 0.05, found


def test_the_first_intervals_are_averaged_and_unknown_items_have_no_probability():
    estimate = StreamingFrequency(buckets=64, rate=0.01)
    for step in range(1, 13):
        estimate.update([7] if step % 4 == 0 else [])
    assert estimate.probabilities([7, 8]).tolist() == [0.25, 0.0]


def test_the_estimate_follows_a_change():
    estimate = StreamingFrequency(buckets=64, rate=0.05)
    for step in range(400):
        estimate.update([1] if step % 10 == 0 else [])
    assert estimate.probabilities([1])[0] == pytest.approx(0.1, rel=0.05)
    for step in range(400):
        estimate.update([1] if step % 2 == 0 else [])
    assert estimate.probabilities([1])[0] == pytest.approx(0.5, rel=0.05)


def test_several_hash_functions_make_collisions_rarer():
    """A rare item whose buckets frequent ones share is taken for frequent, unless one is free."""
    chances = np.concatenate([np.full(40, 0.5), np.full(40, 0.01)])
    ids = RANDOM.integers(1 << 40, size=80)
    errors = []
    for hashes in (1, 3):
        estimate = StreamingFrequency(buckets=97, hashes=hashes, rate=0.01, seed=5)
        for batch in batches(chances, 3000):
            estimate.update(ids[batch])
        errors.append(np.abs(estimate.probabilities(ids) / chances - 1)[40:].mean())
    assert errors[0] > 5
    assert errors[1] < errors[0] / 2
