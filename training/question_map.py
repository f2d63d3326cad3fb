"""Learning the question map: softmax over all passages, pulled back to the identity.

The passages and their vectors stay as they are, so learning takes seconds and changes no index.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twotower.retrieval.vocabulary.vectors import Vectors

_FIRST_MOMENT, _SECOND_MOMENT, _TINY = 0.9, 0.999, 1e-8  # of Adam, as its paper has them


@dataclass(frozen=True, slots=True)
class MapSettings:
    """How a map is learned; `benchmarks.question_map` shows what other values give.

    Attributes
    ----------
    scale
        Factor of the cosines in the softmax, the inverse of its temperature.
    penalty
        Weight of the squared distance of the matrix from the identity.
    steps, rate
        Number and size of Adam's steps, each over all questions.
    """

    scale: float = 20.0
    penalty: float = 0.02
    steps: int = 40
    rate: float = 1e-3


DEFAULT = MapSettings()


def learn(
    questions: Vectors,
    targets: Vectors,
    passages: Vectors,
    weights: Vectors | None = None,
    settings: MapSettings = DEFAULT,
) -> Vectors:
    """Learn a matrix that moves question vectors towards the passages that answer them.

    Parameters
    ----------
    questions
        Unit rows, (n, d) float32.
    targets
        For each question a distribution over the passages, (n, m) float32: its relevant passages,
        by their grades. Rows sum to 1.
    passages
        Unit rows, (m, d) float32.
    weights
        Weight of each question, (n,); they sum to 1. By default all weigh the same.

    Returns
    -------
    Vectors
        The matrix W, (d, d) float32.

    Notes
    -----
    With u = Wq / |Wq| for a question q, targets t and passages p, the loss is

        sum over q of w_q * sum over p of -t_p * log softmax(scale * u.p) + penalty * |W - I|^2

    which is the cross entropy of DPR (Karpukhin et al., 2020, equation 2) with all passages as
    negatives and several positives. It is minimised by Adam (Kingma and Ba, 2015) from W = I.
    """
    count, dimension = questions.shape
    shares = np.full(count, 1 / count, np.float32) if weights is None else weights
    identity = np.eye(dimension, dtype=np.float32)
    matrix, first, second = identity.copy(), np.zeros_like(identity), np.zeros_like(identity)
    for step in range(1, settings.steps + 1):
        _, gradient = loss(matrix, questions, targets, passages, shares, settings)
        first = _FIRST_MOMENT * first + (1 - _FIRST_MOMENT) * gradient
        second = _SECOND_MOMENT * second + (1 - _SECOND_MOMENT) * gradient**2
        size = np.sqrt(second / (1 - _SECOND_MOMENT**step)) + _TINY
        matrix -= settings.rate * first / (1 - _FIRST_MOMENT**step) / size
    return matrix


def loss(
    matrix: Vectors,
    questions: Vectors,
    targets: Vectors,
    passages: Vectors,
    shares: Vectors,
    settings: MapSettings = DEFAULT,
) -> tuple[float, Vectors]:
    """Return the loss of `learn`, and its gradient in the matrix, (d, d)."""
    moved = questions @ matrix.T
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    unit = moved / lengths
    logits = settings.scale * (unit @ passages.T)
    logits -= logits.max(axis=1, keepdims=True)
    odds = np.exp(logits)
    sums = odds.sum(axis=1, keepdims=True)
    change = matrix - np.eye(len(matrix), dtype=np.float32)
    entropy = np.log(sums[:, 0]) - (targets * logits).sum(axis=1)
    value = float(shares @ entropy) + settings.penalty * float((change**2).sum())
    slope = settings.scale * ((odds / sums - targets) @ passages) * shares[:, None]
    slope = (slope - (slope * unit).sum(axis=1, keepdims=True) * unit) / lengths
    gradient: Vectors = slope.T @ questions + 2 * settings.penalty * change
    return value, gradient


def folds(count: int, number: int, seed: int) -> Sequence[np.ndarray]:
    """Divide the indices of ``count`` questions into ``number`` random parts of equal size."""
    order = np.random.default_rng(seed).permutation(count)
    return [np.sort(order[start::number]) for start in range(number)]
