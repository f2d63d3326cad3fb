"""Abstention: whether the hits answer the question, calibrated on labelled questions.

Fused scores of different questions cannot be compared. So the judgement uses features that can: the
best cosine, its distance from the collection's mean and from the following passages, the best
coverage of the question's terms, and the reranker's best score where there is one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from twotower.retrieval.index.card import Calibration
from twotower.retrieval.search.results import Judgement

FEATURES = ("cosine", "standing_out", "lead", "coverage", "reranker")
_LEAD = 5  # rank of the passage that the lead of the first one is measured to


def judge(calibration: Calibration, features: Mapping[str, float]) -> Judgement:
    """Judge one question by the features of its candidates."""
    weights = calibration.weights
    total = calibration.bias + sum(weights[name] * features[name] for name in weights)
    probability = 1 / (1 + math.exp(-max(-50.0, min(50.0, total))))
    answer: Literal["true", "false"] = "true" if probability >= 0.5 else "false"  # noqa: PLR2004
    return Judgement(answer, probability, features)


def features(
    cosines: Sequence[float],
    background: tuple[float, float],
    coverage: float,
    reranker: float | None = None,
) -> dict[str, float]:
    """Compute the features of the candidates for one question.

    Parameters
    ----------
    cosines
        Cosines of the dense leg's candidates, best first.
    background
        Mean and standard deviation of the question's cosine with a sample of the collection.
    coverage
        Best BM25 score divided by the question's summed idf.
    reranker
        Best score of the reranker; ``None`` without one.
    """
    best = cosines[0] if cosines else 0.0
    after = cosines[min(_LEAD, len(cosines)) - 1] if cosines else 0.0
    values = {
        "cosine": best,
        "standing_out": (best - background[0]) / background[1],
        "lead": best - after,
        "coverage": coverage,
    }
    return values if reranker is None else values | {"reranker": reranker}
