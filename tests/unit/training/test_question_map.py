"""The question map: its loss against a plain statement, and what learning does."""

import numpy as np
import pytest

from twotower.retrieval.models.question_map import QuestionMap, encoded, mapped
from twotower.training.question_map import MapSettings, folds, learn, loss

RANDOM = np.random.default_rng(7)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def problem():
    """5 questions, 9 passages, 6 dimensions; question n is answered by passages n and n + 1."""
    questions, passages = unit(RANDOM.normal(size=(5, 6))), unit(RANDOM.normal(size=(9, 6)))
    targets = np.zeros((5, 9), np.float32)
    for n in range(5):
        targets[n, n], targets[n, n + 1] = 0.75, 0.25
    return questions, targets, passages, np.full(5, 0.2, np.float32)


def plain(matrix, questions, targets, passages, shares, settings):
    """The formula of `learn`, question by question and passage by passage."""
    total = 0.0
    for q, t, w in zip(questions, targets, shares, strict=True):
        u = matrix @ q / np.linalg.norm(matrix @ q)
        sims = [settings.scale * float(u @ p) for p in passages]
        whole = sum(np.exp(s) for s in sims)
        total += w * sum(-ti * np.log(np.exp(s) / whole) for ti, s in zip(t, sims, strict=True))
    return total + settings.penalty * ((matrix - np.eye(len(matrix))) ** 2).sum()


def test_loss_is_the_formula_and_its_gradient_the_slope(problem):
    settings = MapSettings(scale=3.0, penalty=0.1)
    matrix = np.eye(6, dtype=np.float64) + 0.1 * RANDOM.normal(size=(6, 6))
    exact = [part.astype(np.float64) for part in problem]
    value, gradient = loss(matrix, *exact, settings)
    assert value == pytest.approx(plain(matrix, *exact, settings), rel=1e-5)
    for row, column in [(0, 0), (2, 5), (5, 1)]:
        step = np.zeros((6, 6))
        step[row, column] = 1e-6
        up, down = (loss(matrix + s, *exact, settings)[0] for s in (step, -step))
        assert gradient[row, column] == pytest.approx((up - down) / 2e-6, rel=1e-3)


def test_learning_lowers_the_loss_and_a_large_penalty_keeps_the_identity(problem):
    questions, targets, passages, shares = problem
    learned = learn(questions, targets, passages)
    before = loss(np.eye(6, dtype=np.float32), questions, targets, passages, shares)[0]
    assert loss(learned, questions, targets, passages, shares)[0] < before
    held = learn(questions, targets, passages, settings=MapSettings(penalty=1e6))
    assert np.abs(held - np.eye(6)).max() < 2e-3


def test_a_question_of_no_weight_teaches_nothing(problem):
    questions, targets, passages, _ = problem
    some = np.array([0.25, 0.25, 0.25, 0.25, 0], np.float32)
    without = learn(questions[:4], targets[:4], passages, some[:4])
    assert np.allclose(learn(questions, targets, passages, some), without, atol=1e-6)


def test_a_stored_map_is_the_learned_one_within_half_a_level():
    matrix = np.eye(64, dtype=np.float32) + 0.02 * RANDOM.normal(size=(64, 64)).astype(np.float32)
    stored = QuestionMap(1, "f", "2026-01-01", {"labels": 40}, *encoded(matrix))
    largest = np.abs(matrix - np.eye(64)).max(axis=1, keepdims=True)
    assert (np.abs(stored.matrix - matrix) <= largest / 127 * 0.51).all()
    rows = mapped(unit(RANDOM.normal(size=(3, 64))), stored.matrix)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert stored.questions == 40


def test_folds_divide_all_questions():
    parts = folds(23, 5, seed=1)
    assert sorted(np.concatenate(parts)) == list(range(23))
    assert {len(part) for part in parts} == {4, 5}
    assert [list(p) for p in folds(23, 5, seed=1)] == [list(p) for p in parts]
    assert [list(p) for p in folds(23, 5, seed=2)] != [list(p) for p in parts]
