import math
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client.http.models import ScoredPoint
from qdrant_client.hybrid.fusion import distribution_based_score_fusion, reciprocal_rank_fusion
from sklearn.preprocessing import minmax_scale

from twotower.retrieval.legs.bm25 import coverage
from twotower.retrieval.legs.standing_out import standing_out
from twotower.retrieval.search.fusion import FUSIONS, LegScores, leg_weights
from twotower.retrieval.search.fusion.formulas import min_max_scores
from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.retrieval.vocabulary.ranking import Scored, ordered


def scored(**scores: float) -> list[Scored]:
    return ordered(Scored(UUID(int=ord(name)), score) for name, score in scores.items())


def by_name(ranking: list[Scored]) -> dict[str, float]:
    return {chr(item.id.int): item.score for item in ranking}


def fused(name: str, rankings: list[list[Scored]], weights=(1.0, 1.0)) -> list[Scored]:
    legs = {str(n): LegScores(ranking, (), float) for n, ranking in enumerate(rankings)}
    return FUSIONS[name].fuse(legs, {str(n): w for n, w in enumerate(weights)}, 100)


def test_min_max_by_hand():
    legs = [scored(a=0.9, b=0.7, c=0.5), scored(b=12.0, d=4.0)]
    ranking = fused("minmax", legs, (0.5, 0.5))
    assert by_name(ranking) == pytest.approx({"b": 0.75, "a": 0.5, "c": 0.0, "d": 0.0})
    assert [chr(item.id.int) for item in ranking] == ["b", "a", "c", "d"]


def test_a_leg_of_equal_scores_gives_each_its_whole_weight():
    legs = [scored(a=3.0, b=3.0), []]
    assert by_name(fused("minmax", legs, (0.25, 0.75))) == {"a": 0.25, "b": 0.25}


def test_legs_without_a_weight_share_the_rest():
    assert leg_weights({}, ["dense", "bm25"]) == {"dense": 0.5, "bm25": 0.5}
    assert leg_weights({"dense": 0.6}, ["dense", "bm25"]) == {"dense": 0.6, "bm25": 0.4}
    assert leg_weights({"dense": 0.5}, ["dense", "bm25", "more"])["more"] == 0.25
    assert leg_weights({"dense": 1.0, "bm25": 0.7}, ["dense", "bm25"])["bm25"] == 0.7
    with pytest.raises(ConfigurationError, match="leg 'splade', but the collection has the legs"):
        leg_weights({"splade": 0.5}, ["dense", "bm25"])


def test_convex_adds_up_normalised_scores_also_of_candidates_that_only_other_legs_ranked():
    legs = {
        "dense": LegScores(scored(a=4.0), scored(b=2.0), lambda score: score / 4),
        "bm25": LegScores(scored(b=10.0), (), lambda score: score / 10),
    }
    ranking = FUSIONS["convex"].fuse(legs, {"dense": 0.5, "bm25": 0.5}, 10)
    assert by_name(ranking) == {"a": 0.5, "b": 0.75}


def test_rrf_and_dbsf_have_no_weights():
    for name in ("rrf", "dbsf"):
        assert FUSIONS[name].weights({"dense": 0.9}, ["dense", "bm25"]) == {"dense": 1, "bm25": 1}


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
    ours = fused("minmax", as_rankings(pair), (weight, 1 - weight))
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
    ours = as_scores(fused("rrf", rankings))
    assert ours == pytest.approx({str(point.id): point.score for point in theirs}, abs=1e-6)


@given(legs)
def test_dbsf_agrees_with_qdrant_client(pair):
    rankings = [ranking for ranking in as_rankings(pair) if _spread(ranking)]
    theirs = distribution_based_score_fusion(
        [as_points(ranking) for ranking in rankings], limit=100
    )
    ours = as_scores(fused("dbsf", rankings))
    expected = {str(point.id): point.score for point in theirs}
    assert ours == pytest.approx(expected, abs=1e-6)


def _spread(ranking: list[Scored]) -> bool:
    return len({item.score for item in ranking}) > 1


@given(legs)
def test_deeper_rankings_keep_the_scale_of_min_max(pair):
    ranking = as_rankings(pair)[0]
    whole = min_max_scores(ranking, 3)
    first = min_max_scores(ranking[:3])
    assert {id: whole[id] for id in first} == first
    assert all(0.0 <= score <= 1.0 and math.isfinite(score) for score in whole.values())
