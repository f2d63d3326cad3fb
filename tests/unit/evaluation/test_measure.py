from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from twotower.evaluation.measure import (
    bootstrap_interval,
    compute_measures,
    paired_p,
    rank_documents,
)
from twotower.evaluation.tune import choose
from twotower.retrieval.search.results import Hit
from twotower.retrieval.vocabulary.documents import Chunk, Provenance, chunk_id

# Scores with ties, and grades, because definitions differ on them.
runs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=30).filter(
    lambda rows: any(grade for _, grade in rows)
)


@given(runs)
@settings(deadline=None)
def test_ndcg_agrees_with_scikit_learn(rows):
    """The scores are 1 / rank, so ties are broken by the order of the hits before measuring."""
    order = sorted(range(len(rows)), key=lambda n: (-rows[n][0], n))
    ranking = {str(n): 1.0 / rank for rank, n in enumerate(order, start=1)}
    judged = {str(n): grade for n, (_, grade) in enumerate(rows)}
    (ours,) = compute_measures({"q": ranking}, {"q": judged})["ndcg@10"]
    gains = [[rows[n][1] for n in range(len(rows))]]
    scores = [[ranking[str(n)] for n in range(len(rows))]]
    assert ours == pytest.approx(ndcg_score(gains, scores, k=10), abs=1e-6)


def test_measures_match_a_calculation_by_hand():
    scores = compute_measures(
        {"q1": {"a": 3.0, "b": 2.0, "c": 1.0}}, {"q1": {"b": 1, "z": 1}, "q2": {"a": 1}}
    )
    assert scores["mrr@10"].tolist() == [0.5, 0.0]  # a question without a ranking gets 0
    assert scores["recall@10"].tolist() == [0.5, 0.0]
    ideal = 1 + 1 / np.log2(3)
    assert scores["ndcg@10"][0] == pytest.approx(1 / np.log2(3) / ideal)


def hit(rank: int, source: str, page: int | None = None) -> Hit:
    provenance = Provenance(source, source, (), page, page, 0, 1)
    return Hit(rank, 1.0, Chunk(chunk_id(source, "x", rank), "x", "", rank, provenance), {})


def test_a_document_has_the_rank_of_its_best_passage():
    hits = [hit(1, "a"), hit(2, "a"), hit(3, "b.pdf", 4), hit(4, "b.pdf", 5)]
    assert rank_documents(hits, {"b.pdf#page=5": 1}) == {
        "a": 1.0,
        "b.pdf": 1 / 3,
        "b.pdf#page=5": 1 / 4,
    }


def test_an_interval_contains_the_mean_and_narrows_with_more_questions():
    rng = np.random.default_rng(0)
    few, many = rng.random(20), rng.random(2000)
    for scores in (few, many):
        low, high = bootstrap_interval(scores)
        assert low < scores.mean() < high
    assert np.ptp(bootstrap_interval(many)) < np.ptp(bootstrap_interval(few)) / 5
    assert bootstrap_interval(np.ones(5)) == (1.0, 1.0)


def test_only_a_real_difference_is_significant():
    rng = np.random.default_rng(1)
    first = rng.random(100)
    assert paired_p(first, first) == 1.0
    assert paired_p(first, first + 0.1 + 0.02 * rng.standard_normal(100)) < 0.001
    assert paired_p(first, first + 0.1 * rng.standard_normal(100)) > 0.05


def result(scores) -> SimpleNamespace:
    return SimpleNamespace(scores={"ndcg@10": np.asarray(scores)})


def test_tuning_keeps_the_default_unless_another_is_better_on_held_out_questions():
    rng = np.random.default_rng(2)
    default = rng.random(100)
    noise = [result(np.clip(default + 0.1 * rng.standard_normal(100), 0, 1)) for _ in range(20)]
    assert not choose([result(default), *noise]).is_significant
    better = result(np.minimum(default + 0.1, 1.0))
    tuned = choose([result(default), *noise, better])
    assert tuned.is_significant
    assert tuned.winner is better
    assert tuned.held_out_score > tuned.default_score
