"""Each loss of the recipes against a plain NumPy statement of its formula."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp, softmax

from twotower.training.objective import BatchLoss, make_loss
from twotower.training.recipe import LossTable, ModelTable, NegativesTable, Stage, TrainingTable

BATCH, DIMENSION, SCALE = 4, 6, 5.0


class Echo(torch.nn.Module):
    """Stands for a network: the vectors are given."""

    def forward(self, features, **_):
        return {"sentence_embedding": features["vectors"]}

    def get_embedding_dimension(self):
        return DIMENSION


def rows(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(BATCH, DIMENSION)).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def loss_of(columns, labels, name="softmax", negatives=None, **loss):
    stage = Stage(
        loss=LossTable(name=name, scale=SCALE, **loss),
        negatives=NegativesTable(**(negatives or {})),
        training=TrainingTable(batch=BATCH),
    )
    relevant = [frozenset({n}) for n in range(BATCH)]
    made = make_loss(Echo(), ModelTable(), stage, relevant, passages=100)
    given = [{"vectors": torch.tensor(column)} for column in columns]
    return made, float(made(given, torch.tensor(labels)))


QUESTIONS, PASSAGES, HARD = rows(1), rows(2), rows(3)
IDS = [[n, n, 10 + n] for n in range(BATCH)]  # question, passage, negative
COSINES = unit(QUESTIONS) @ np.concatenate([unit(PASSAGES), unit(HARD)]).T
OWN = np.arange(BATCH)


def test_in_batch_softmax_in_one_and_two_directions():
    _, one = loss_of([QUESTIONS, PASSAGES, HARD], IDS)
    forward = logsumexp(SCALE * COSINES, axis=1) - SCALE * COSINES[OWN, OWN]
    assert one == pytest.approx(forward.mean(), rel=1e-5)

    square = SCALE * COSINES[:, :BATCH]
    _, two = loss_of([QUESTIONS, PASSAGES], [[n, n] for n in OWN], directions=2)
    both = (logsumexp(square, axis=1) + logsumexp(square, axis=0)) / 2 - square[OWN, OWN]
    assert two == pytest.approx(both.mean(), rel=1e-5)


def test_triplet():
    _, found = loss_of([QUESTIONS, PASSAGES, HARD], IDS, "triplet", {"bm25": 1})
    margins = COSINES[OWN, BATCH + OWN] - COSINES[OWN, OWN] + 0.2
    assert found == pytest.approx(np.maximum(margins, 0).mean(), rel=1e-5)


def test_margin_mse_and_kl_against_a_teacher():
    taught = np.array([[3.0, 1.0], [2.0, 2.5], [4.0, 0.0], [1.0, 0.5]], np.float32)
    columns = [QUESTIONS, PASSAGES, HARD]
    ours = SCALE * np.stack([COSINES[OWN, OWN], COSINES[OWN, BATCH + OWN]], axis=1)
    _, mse = loss_of(columns, taught, "margin-mse", {"bm25": 1})
    difference = (ours[:, 0] - ours[:, 1]) - (taught[:, 0] - taught[:, 1])
    assert mse == pytest.approx((difference**2).mean(), rel=1e-4)

    _, kl = loss_of(columns, taught, "kl", {"bm25": 1})
    p = softmax(taught, axis=1)
    expected = (p * (np.log(p) - log_softmax(ours, axis=1))).sum(axis=1).mean()
    assert kl == pytest.approx(expected, rel=1e-4)


def test_matryoshka_adds_the_loss_of_each_prefix():
    _, found = loss_of([QUESTIONS, PASSAGES], [[n, n] for n in OWN], dimensions=(6, 2))
    expected = 0.0
    for length in (6, 2):
        scores = SCALE * unit(QUESTIONS[:, :length]) @ unit(PASSAGES[:, :length]).T
        expected += (logsumexp(scores, axis=1) - scores[OWN, OWN]).mean()
    assert found == pytest.approx(expected, rel=1e-5)


def test_log_q_takes_the_chance_of_each_passage_out():
    # All passages are in the first batch, so the estimated chance of each is 1 and log Q is 0.
    made, first = loss_of([QUESTIONS, PASSAGES], [[n, n] for n in OWN], logq=True)
    scores = SCALE * COSINES[:, :BATCH]
    assert first == pytest.approx((logsumexp(scores, axis=1) - scores[OWN, OWN]).mean(), rel=1e-5)

    # Passage 0 comes again after one step; passages 4 to 6 are new, and have no shorter interval.
    assert isinstance(made, BatchLoss)
    ids = [0, 4, 5, 6]
    given = [{"vectors": torch.tensor(c)} for c in (QUESTIONS, PASSAGES)]
    second = float(made(given, torch.tensor([[n, id] for n, id in enumerate(ids)])))
    corrected = scores - np.log(made._frequency.probabilities(ids))
    expected = logsumexp(corrected, axis=1) - corrected[OWN, OWN]
    assert second == pytest.approx(expected.mean(), rel=1e-5)


def test_mixed_negatives_are_corrected_by_the_mixture():
    labels = [[n, n, 50 + n] for n in OWN]
    _, found = loss_of([QUESTIONS, PASSAGES, HARD], labels, negatives={"uniform": 4}, logq=True)
    half = BATCH / (BATCH + 4)
    chance = np.array([1.0] * BATCH + [1 / 100] * BATCH) / BATCH
    corrected = SCALE * COSINES - np.log(half * chance + (1 - half) / 100)
    expected = logsumexp(corrected, axis=1) - corrected[OWN, OWN]
    assert found == pytest.approx(expected.mean(), rel=1e-4)


def test_the_bank_adds_passages_of_the_batches_before():
    made, _ = loss_of([QUESTIONS, PASSAGES], [[n, 20 + n] for n in OWN], negatives={"bank": 3})
    given = [{"vectors": torch.tensor(c)} for c in (QUESTIONS, HARD)]
    found = float(made(given, torch.tensor([[n, n] for n in OWN])))
    columns = np.concatenate([unit(HARD), unit(PASSAGES)[-3:]])
    scores = SCALE * unit(QUESTIONS) @ columns.T
    assert found == pytest.approx((logsumexp(scores, axis=1) - scores[OWN, OWN]).mean(), rel=1e-5)


def test_a_passage_that_answers_is_no_negative():
    labels = [[0, 0, 1], [1, 1, 2], [2, 2, 3], [3, 3, 0]]  # each negative answers another question
    _, found = loss_of([QUESTIONS, PASSAGES, HARD], labels, "bpr", {"bm25": 1})
    scores = SCALE * COSINES
    ids = np.array([0, 1, 2, 3, 1, 2, 3, 0])
    kept = [scores[i, i] - scores[i, j] for i in OWN for j in range(8) if j != i and ids[j] != i]
    assert found == pytest.approx(np.log1p(np.exp(-np.array(kept))).mean(), rel=1e-5)


def test_noise_contrastive_estimation_knows_how_likely_each_column_was():
    made, found = loss_of([QUESTIONS, PASSAGES], [[n, n] for n in OWN], "nce")
    scores = SCALE * COSINES[:, :BATCH]
    odds = scores - np.log(3 * 1 / BATCH)
    signs = np.where(np.eye(BATCH, dtype=bool), 1.0, -1.0)
    assert found == pytest.approx(np.log1p(np.exp(-signs * odds)).sum(axis=1).mean(), rel=1e-5)
    assert isinstance(made, BatchLoss)
