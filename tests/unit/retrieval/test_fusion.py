from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import minmax_scale

from retrieval.fusion import convex, ordered
from retrieval.types import Scored


def scored(**scores: float) -> list[Scored]:
    return ordered(Scored(UUID(int=ord(name)), score) for name, score in scores.items())


def by_name(ranking: list[Scored]) -> dict[str, float]:
    return {chr(item.id.int): item.score for item in ranking}


def test_convex_by_hand():
    fused = convex([scored(a=0.9, b=0.7, c=0.5), scored(b=12.0, d=4.0)], (0.5, 0.5))
    assert by_name(fused) == pytest.approx({"b": 0.75, "a": 0.5, "c": 0.0, "d": 0.0})
    assert [chr(item.id.int) for item in fused] == ["b", "a", "c", "d"]


def test_a_leg_of_equal_scores_gives_each_its_whole_weight():
    assert by_name(convex([scored(a=3.0, b=3.0), []], (0.25, 0.75))) == {"a": 0.25, "b": 0.25}


def test_weights_must_fit_rankings():
    with pytest.raises(ValueError, match="2 rankings"):
        convex([[], []], (1.0,))


def test_ties_are_broken_by_id():
    ids = [UUID(int=n) for n in (9, 3, 7, 1)]
    assert [item.id.int for item in ordered(Scored(id, 1.0) for id in ids)] == [1, 3, 7, 9]


rankings = st.lists(
    st.dictionaries(st.integers(0, 30), st.integers(-50, 50).map(lambda n: n / 7), min_size=1),
    min_size=2,
    max_size=2,
)


@given(rankings, st.floats(0, 1))
def test_convex_agrees_with_scikit_learn(legs, weight):
    ours = convex(
        [ordered(Scored(UUID(int=n), s) for n, s in leg.items()) for leg in legs],
        (weight, 1 - weight),
    )
    expected = dict.fromkeys([*legs[0], *legs[1]], 0.0)
    for leg, share in zip(legs, (weight, 1 - weight), strict=True):
        scaled = (
            minmax_scale(list(leg.values())) if len(set(leg.values())) > 1 else [1.0] * len(leg)
        )
        for key, value in zip(leg, scaled, strict=True):
            expected[key] += share * value
    assert {item.id.int: item.score for item in ours} == pytest.approx(expected, abs=1e-6)
    assert [item.score for item in ours] == sorted((item.score for item in ours), reverse=True)
