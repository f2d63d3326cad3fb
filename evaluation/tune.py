"""Which way to search is better on these questions: found on some, judged on the others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from evaluation.measure import Scores, SystemResult, paired_p
from retrieval.options import Fusion, Rerank, SearchOptions

FOLDS = 5
SIGNIFICANT = 0.05
FEWEST_QUESTIONS = 20
_SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning found.

    Attributes
    ----------
    winner
        Best over all questions; the default itself where nothing beats it.
    default_score, held_out_score
        Mean nDCG@10 of the default, and of what was chosen without the question at hand.
    p
        Of the difference between the two, by the paired randomisation test.
    """

    winner: SystemResult
    default_score: float
    held_out_score: float
    p: float

    @property
    def pays(self) -> bool:
        """Whether the gain on held-out questions is significant."""
        return self.held_out_score > self.default_score and self.p < SIGNIFICANT


def candidates(base: SearchOptions, rerankers: Sequence[Rerank]) -> list[SearchOptions]:
    """The ways to search that are tried, the default first."""
    tried = [base]
    tried += [replace(base, mode="dense"), replace(base, mode="bm25")]
    tried += [replace(base, dense_weight=w) for w in (0.2, 0.35, 0.65, 0.8)]
    tried += [replace(base, fusion=fusion) for fusion in get_args(Fusion) if fusion != base.fusion]
    tried += [replace(base, depth=300)]
    tried += [
        replace(base, feedback=k, feedback_weight=w) for k, w in ((3, 0.25), (5, 0.25), (5, 0.4))
    ]
    for rerank in rerankers:
        tried += [replace(base, rerank=rerank, rerank_weight=w) for w in (0.25, 0.4, 0.6)]
    return list(dict.fromkeys(tried))


def choose(results: Sequence[SystemResult]) -> Tuned:
    """Choose by cross-validation over questions.

    The questions are dealt into five folds; for each, the system that is best on the others is
    scored on it. Those scores, none of which helped to choose, are compared with the default's.

    Parameters
    ----------
    results
        The default first, all on the same questions.
    """
    scores = np.stack([result.scores["ndcg@10"] for result in results])
    folds = np.random.default_rng(_SEED).permutation(scores.shape[1]) % FOLDS
    held_out: Scores = np.zeros(scores.shape[1])
    for fold in range(FOLDS):
        inside = folds == fold
        best = int(np.argmax(scores[:, ~inside].mean(axis=1)))  # the default where they are equal
        held_out[inside] = scores[best, inside]
    winner = results[int(np.argmax(scores.mean(axis=1)))]
    return Tuned(
        winner, float(scores[0].mean()), float(held_out.mean()), paired_p(scores[0], held_out)
    )
