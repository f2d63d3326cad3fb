from uuid import UUID

import numpy as np
import pytest
from scipy.stats import zscore

from twotower.retrieval.search.selection import (
    at_most_per_document,
    combined,
    diverse,
    without_copies,
)
from twotower.retrieval.vocabulary.ranking import Scored

IDS = [UUID(int=n) for n in range(6)]


def ranking(*scores: float) -> list[Scored]:
    return [Scored(id, score) for id, score in zip(IDS, scores, strict=False)]


def unit(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32) / np.linalg.norm(values)


def test_at_most_so_many_of_one_document():
    sources = dict(zip(IDS, ["a", "a", "b", "a", "b"], strict=False))
    kept = at_most_per_document(ranking(5, 4, 3, 2, 1), 1, sources)
    assert [item.id.int for item in kept] == [0, 2]
    assert len(at_most_per_document(ranking(5, 4, 3, 2, 1), 2, sources)) == 4
    gone = {id: source for id, source in sources.items() if id != IDS[0]}
    assert [item.id.int for item in at_most_per_document(ranking(5, 4, 3), 1, gone)] == [1, 2]


def test_copies_follow_the_first_of_them():
    contents = dict(zip(IDS[:4], "abab", strict=True))  # the fifth passage was removed
    kept, copies = without_copies(ranking(5, 4, 3, 2, 1), contents)
    assert [item.id.int for item in kept] == [0, 1]
    assert copies == {IDS[0]: [IDS[2]], IDS[1]: [IDS[3]]}


def test_diversity_prefers_what_is_unlike_the_hits_before():
    vectors = {IDS[0]: unit(1, 0), IDS[1]: unit(1, 0.01), IDS[2]: unit(0, 1)}
    first = diverse(ranking(1.0, 0.9, 0.5), vectors, 0.5, 2)
    assert [item.id.int for item in first] == [0, 2]
    assert [item.id.int for item in diverse(ranking(1.0, 0.9, 0.5), vectors, 0.0, 3)] == [0, 1, 2]
    assert [item.score for item in first] == [1.0, 0.5]


def test_a_reranker_is_mixed_by_z_scores():
    fused, given = [3.0, 2.0, 1.0], [0.1, 0.9, 0.5]
    mixed = combined(ranking(*fused), dict(zip(IDS, given, strict=False)), 0.4)
    expected = 0.6 * zscore(fused) + 0.4 * zscore(given)
    by_id = {item.id.int: item.score for item in mixed}
    assert by_id == pytest.approx(dict(enumerate(expected)))
    assert [item.score for item in mixed] == sorted(by_id.values(), reverse=True)


def test_what_was_not_reranked_follows_in_its_order():
    mixed = combined(ranking(4.0, 3.0, 2.0, 1.0), {IDS[0]: 0.1, IDS[1]: 0.9}, 1.0)
    assert [item.id.int for item in mixed] == [1, 0, 2, 3]
    assert [item.score for item in mixed] == sorted((i.score for i in mixed), reverse=True)
    assert combined(ranking(2.0, 1.0), {}, 0.4) == ranking(2.0, 1.0)


def test_equal_reranker_scores_keep_the_order():
    mixed = combined(ranking(3.0, 2.0, 1.0), dict.fromkeys(IDS[:3], 0.5), 0.4)
    assert [item.id.int for item in mixed] == [0, 1, 2]
