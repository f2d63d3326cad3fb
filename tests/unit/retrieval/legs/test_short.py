import numpy as np
import pytest

from twotower.retrieval.legs.short import directions
from twotower.retrieval.models.packed import pack, unpack


def test_the_first_directions_hold_most_of_the_vectors():
    random = np.random.default_rng(0)
    few = random.normal(size=(3, 16)).astype(np.float32)
    vectors = random.normal(size=(200, 3)).astype(np.float32) @ few
    found = directions(vectors, 4)
    assert found @ found.T == pytest.approx(np.eye(4), abs=1e-5)
    short = vectors @ found.T
    assert short @ short.T == pytest.approx(vectors @ vectors.T, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_vectors_give_as_many_directions(count):
    found = directions(np.eye(8, dtype=np.float32)[:count], 6)
    assert found.shape == (6, 8)
    assert found @ found.T == pytest.approx(np.eye(6), abs=1e-5)


def test_a_packed_matrix_is_within_one_level_of_the_original():
    matrix = np.random.default_rng(1).normal(size=(5, 9)).astype(np.float32)
    levels = np.abs(matrix).max(axis=1, keepdims=True) / 127
    assert (np.abs(unpack(*pack(matrix)) - matrix) <= levels / 2 + 1e-6).all()
