import numpy as np
import pytest

from twotower.retrieval.legs.bm25 import MOST_TERMS, candidate_terms, expanded
from twotower.retrieval.legs.dense import rocchio
from twotower.retrieval.vocabulary.vectors import SparseVector


def test_the_question_moves_towards_the_passages():
    question = np.array([1.0, 0.0], dtype=np.float32)
    passages = [np.array([0.0, 1.0], dtype=np.float32)]
    np.testing.assert_allclose(rocchio(question, passages, 0.0), question)
    halfway = rocchio(question, passages, 0.5)
    np.testing.assert_allclose(halfway, [0.5**0.5, 0.5**0.5], rtol=1e-6)
    assert rocchio(question, [], 0.5) is question


def test_terms_are_added_in_proportion_to_their_share():
    question = SparseVector((1, 2), (1.0, 1.0))
    passages = [SparseVector((1, 3), (1.0, 2.0)), SparseVector((3, 4), (2.0, 1.0))]
    idf = {1: 1.0, 3: 2.0, 4: 1.0}
    mixed = expanded(question, passages, idf, 0.2)
    weights = dict(zip(mixed.indices, mixed.values, strict=True))
    assert sum(mixed.values) == pytest.approx(1.0)
    # Shares: 1 has 1, 3 has 8, 4 has 1, of 10.
    assert weights == pytest.approx({1: 0.4 + 0.02, 2: 0.4, 3: 0.16, 4: 0.02})


def test_few_terms_are_added_and_a_question_without_terms_stays():
    many = SparseVector(tuple(range(100, 160)), (1.0,) * 60)
    mixed = expanded(SparseVector((1,), (1.0,)), [many], dict.fromkeys(many.indices, 1.0), 0.5)
    assert len(mixed.indices) == MOST_TERMS + 1
    empty = SparseVector((), ())
    assert expanded(empty, [many], dict.fromkeys(many.indices, 1.0), 0.5) is empty


def test_terms_that_passages_share_are_looked_up_first():
    passages = [SparseVector((5, 6), (9.0, 1.0)), SparseVector((6, 7), (1.0, 2.0))]
    assert candidate_terms(passages) == [6, 5, 7]
