"""Each loss against a plain statement of its formula in NumPy."""

import numpy as np
import pytest
import torch

from twotower.training import losses

RANDOM = np.random.default_rng(3)
SCORES = RANDOM.normal(size=(4, 7))
PROBABILITIES = RANDOM.uniform(0.01, 0.3, size=7)
IDS = np.array([10, 11, 12, 10, 11, 15, 16])  # columns 0 and 3 are one passage, 1 and 4 another one


def tensor(values):
    return torch.tensor(values)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax_loss(scores, weights):
    rows = range(len(scores))
    each = [-np.log(np.exp(scores[i, i]) / np.exp(scores[i]).sum()) for i in rows]
    return np.mean([w * x for w, x in zip(weights, each, strict=True)])


def test_sampled_softmax():
    assert losses.sampled_softmax(tensor(SCORES)).item() == pytest.approx(
        softmax_loss(SCORES, np.ones(4))
    )
    weights = np.array([1.0, 0.0, 2.0, 0.5])
    assert losses.sampled_softmax(tensor(SCORES), tensor(weights)).item() == pytest.approx(
        softmax_loss(SCORES, weights)
    )


def test_log_q_correction():
    expected = SCORES - np.log(PROBABILITIES)[None, :]
    assert np.allclose(losses.corrected(tensor(SCORES), tensor(PROBABILITIES)), expected)


def test_log_q_of_a_mixture_of_two_samplers():
    found = losses.log_mixed(tensor(PROBABILITIES), batch=32, uniform=0.001, drawn=96)
    assert np.allclose(found, np.log(0.25 * PROBABILITIES + 0.75 * 0.001))


def test_accidental_hits_are_removed_and_own_passages_stay():
    found = losses.without_accidental_hits(tensor(SCORES), tensor(IDS)).numpy()
    expected = SCORES.copy()
    for row in range(4):
        for column in range(7):
            if column != row and IDS[row] == IDS[column]:
                expected[row, column] = -np.inf
    assert np.array_equal(found, expected)
    assert np.isinf(expected).sum() == 3


@pytest.mark.parametrize("removed", [False, True])
def test_pairwise_losses(removed):
    given = tensor(SCORES)
    if removed:
        given = losses.without_accidental_hits(given, tensor(IDS))
    pairs = [
        SCORES[i, i] - SCORES[i, j]
        for i in range(4)
        for j in range(7)
        if i != j and not (removed and IDS[i] == IDS[j])
    ]
    assert losses.bpr(given).item() == pytest.approx(-np.mean([np.log(sigmoid(x)) for x in pairs]))
    assert losses.hinge(given, 0.3).item() == pytest.approx(
        np.mean([max(0.0, 0.3 - x) for x in pairs])
    )


def test_noise_contrastive_estimation():
    total = 0.0
    for i in range(4):
        for j in range(7):
            odds = SCORES[i, j] - np.log(6 * PROBABILITIES[j])
            total -= np.log(sigmoid(odds)) if i == j else np.log(1 - sigmoid(odds))
    found = losses.nce(tensor(SCORES), tensor(PROBABILITIES)).item()
    assert found == pytest.approx(total / 4)
    removed = losses.without_accidental_hits(tensor(SCORES), tensor(IDS))
    assert np.isfinite(losses.nce(removed, tensor(PROBABILITIES)).item())


def test_a_bank_keeps_the_newest_vectors_and_gives_them_no_gradient():
    bank = losses.VectorBank(3)
    vectors = torch.arange(4.0).reshape(4, 1).requires_grad_()
    alone, ids = bank.extended(vectors, torch.arange(4))
    assert alone is vectors
    bank.add(vectors, ids)
    new = torch.tensor([[9.0]], requires_grad=True)
    joined, ids = bank.extended(new, torch.tensor([9]))
    assert joined.flatten().tolist() == [9, 1, 2, 3]
    assert ids.tolist() == [9, 1, 2, 3]
    joined.sum().backward()
    assert new.grad is not None
    assert vectors.grad is None
