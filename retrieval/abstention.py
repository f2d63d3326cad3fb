"""Whether what was found answers the question: a judgement that is calibrated on labelled ones.

Fused scores mean nothing across questions, so the judgement looks at what does: the best cosine,
how far it stands out of the collection and of the passages after it, the best coverage of the
question's terms, and the reranker's best score where there was one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from retrieval.types import Judgement

FEATURES = ("cosine", "standing_out", "lead", "coverage", "reranker")
_LEAD = 5  # how far below the first the passage stands that the lead is measured to


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic model of "this is answered": kept on the card, for one kind of reranking.

    Attributes
    ----------
    weights
        By feature, on the features' own scales.
    questions
        How many questions it was fitted on.
    auc
        Area under the ROC curve on questions that it was not fitted on.
    """

    weights: Mapping[str, float]
    bias: float
    questions: int
    auc: float

    def judge(self, features: Mapping[str, float]) -> Judgement:
        """Judge one question by the features of what was found."""
        total = self.bias + sum(self.weights[name] * features[name] for name in self.weights)
        probability = 1 / (1 + math.exp(-max(-50.0, min(50.0, total))))
        answer: Literal["true", "false"] = "true" if probability >= 0.5 else "false"  # noqa: PLR2004
        return Judgement(answer, probability, features)


def features(
    cosines: Sequence[float],
    background: tuple[float, float],
    coverage: float,
    reranker: float | None = None,
) -> dict[str, float]:
    """Describe what was found for a question.

    Parameters
    ----------
    cosines
        Of the dense leg's candidates, best first.
    background
        Mean and standard deviation of the question's cosine with a sample of the collection.
    coverage
        The best BM25 score over the question's summed idf.
    reranker
        The best score of the reranker, if there was one.
    """
    best = cosines[0] if cosines else 0.0
    after = cosines[min(_LEAD, len(cosines)) - 1] if cosines else 0.0
    found = {
        "cosine": best,
        "standing_out": (best - background[0]) / background[1],
        "lead": best - after,
        "coverage": coverage,
    }
    return found if reranker is None else found | {"reranker": reranker}
