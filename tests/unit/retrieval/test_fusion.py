import math
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client.http.models import ScoredPoint
from qdrant_client.hybrid.fusion import distribution_based_score_fusion, reciprocal_rank_fusion
from sklearn.preprocessing import minmax_scale

from retrieval.fusion import (
    convex,
    coverage,
    distribution,
    fused,
    min_max,
    ordered,
    reciprocal_rank,
    standing_out,
)
from retrieval.types import Scored


def scored(**scores: float) -> list[Scored]:
    return ordered(Scored(UUID(int=ord(name)), score) for name, score in scores.items())


def by_name(ranking: list[Scored]) -> dict[str, float]:
    return {chr(item.id.int): item.score for item in ranking}


def test_min_max_by_hand():
    legs = [scored(a=0.9, b=0.7, c=0.5), scored(b=12.0, d=4.0)]
    ranking = fused(legs, min_max, (0.5, 0.5))
    assert by_name(ranking) == pytest.approx({"b": 0.75, "a": 0.5, "c": 0.0, "d": 0.0})
    assert [chr(item.id.int) for item in ranking] == ["b", "a", "c", "d"]


def test_a_leg_of_equal_scores_gives_each_its_whole_weight():
    legs = [scored(a=3.0, b=3.0), []]
    assert by_name(fused(legs, min_max, (0.25, 0.75))) == {"a": 0.25, "b": 0.25}


def test_weights_must_fit_legs():
    with pytest.raises(ValueError, match="2 legs"):
        convex([{}, {}], (1.0,))


def test_ties_are_broken_by_id():
    ids = [UUID(int=n) for n in (9, 3, 7, 1)]
    assert [item.id.int for item in ordered(Scored(id, 1.0) for id in ids)] == [1, 3, 7, 9]


def test_normalisations_on_their_own_scales():
    assert standing_out(0.6, 0.1, 0.1) == pytest.approx(1.0)
    assert standing_out(0.1, 0.1, 0.1) == 0.0
    assert coverage(6.0, 12.0) == 0.5
    assert coverage(0.0, 0.0) == 0.0  # a question of stop words


legs = st.lists(
    st.dictionaries(st.integers(0, 30), st.integers(-50, 50).map(lambda n: n / 7), min_size=1),
    min_size=2,
    max_size=2,
)


def as_rankings(pair: list[dict[int, float]]) -> list[list[Scored]]:
    return [ordered(Scored(UUID(int=n), s) for n, s in leg.items()) for leg in pair]


def as_points(ranking: list[Scored]) -> list[ScoredPoint]:
    return [ScoredPoint(id=str(i.id), version=0, score=i.score) for i in ranking]


def as_scores(ranking: list[Scored]) -> dict[str, float]:
    return {str(item.id): item.score for item in ranking}


@given(legs, st.floats(0, 1))
def test_min_max_agrees_with_scikit_learn(pair, weight):
    ours = fused(as_rankings(pair), min_max, (weight, 1 - weight))
    expected = dict.fromkeys([*pair[0], *pair[1]], 0.0)
    for leg, share in zip(pair, (weight, 1 - weight), strict=True):
        scaled = (
            minmax_scale(list(leg.values())) if len(set(leg.values())) > 1 else [1.0] * len(leg)
        )
        for key, value in zip(leg, scaled, strict=True):
            expected[key] += share * value
    assert {item.id.int: item.score for item in ours} == pytest.approx(expected, abs=1e-6)
    assert [item.score for item in ours] == sorted((item.score for item in ours), reverse=True)


@given(legs)
def test_rrf_agrees_with_qdrant_client(pair):
    """Qdrant counts ranks from 0, so that its k=61 is the paper's k=60."""
    rankings = as_rankings(pair)
    theirs = reciprocal_rank_fusion(
        [as_points(ranking) for ranking in rankings], limit=100, ranking_constant_k=61
    )
    ours = as_scores(fused(rankings, reciprocal_rank, (1.0, 1.0)))
    assert ours == pytest.approx({str(point.id): point.score for point in theirs}, abs=1e-6)


@given(legs)
def test_dbsf_agrees_with_qdrant_client(pair):
    rankings = [ranking for ranking in as_rankings(pair) if _spread(ranking)]
    theirs = distribution_based_score_fusion(
        [as_points(ranking) for ranking in rankings], limit=100
    )
    ours = as_scores(fused(rankings, distribution, (1.0,) * len(rankings)))
    expected = {str(point.id): point.score for point in theirs}
    assert ours == pytest.approx(expected, abs=1e-6)


def _spread(ranking: list[Scored]) -> bool:
    return len({item.score for item in ranking}) > 1


@given(legs)
def test_deeper_rankings_keep_the_scale_of_min_max(pair):
    ranking = as_rankings(pair)[0]
    whole = min_max(ranking, 3)
    first = min_max(ranking[:3])
    assert {id: whole[id] for id in first} == first
    assert all(0.0 <= score <= 1.0 and math.isfinite(score) for score in whole.values())
