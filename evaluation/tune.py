"""Finds the best search configuration: chosen on some questions, measured on the others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from twotower.evaluation.measure import Scores, SystemResult, paired_p
from twotower.retrieval.search.fusion import FUSIONS
from twotower.retrieval.search.options import SearchOptions

FOLDS = 5
SIGNIFICANT = 0.05
FEWEST_QUESTIONS = 20
_SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Tuned:
    """Result of tuning.

    Attributes
    ----------
    winner
        The best configuration over all questions; the default if no other one is better.
    default_score, held_out_score
        Mean nDCG@10 of the default, and of the configurations chosen by cross-validation, each
        measured on questions that it was not chosen on.
    p
        p-value of the difference between these two means, by the paired randomisation test.
    """

    winner: SystemResult
    default_score: float
    held_out_score: float
    p: float

    @property
    def is_significant(self) -> bool:
        """True if the gain on held-out questions is significant."""
        return self.held_out_score > self.default_score and self.p < SIGNIFICANT


def candidates(
    base: SearchOptions, rerankers: Sequence[str], legs: Sequence[str]
) -> list[SearchOptions]:
    """List the search configurations to try, the default first.

    Parameters
    ----------
    legs
        Legs of the collection.
    """
    tried = [base]
    tried += [replace(base, mode=leg) for leg in legs]
    if "short" not in legs:  # it searches in place of the leg dense
        tried += [replace(base, weights={"dense": w}) for w in (0.2, 0.35, 0.65, 0.8)]
    tried += [replace(base, fusion=fusion) for fusion in FUSIONS if fusion != base.fusion]
    tried += [replace(base, depth=300)]
    tried += [
        replace(base, feedback=k, feedback_weight=w) for k, w in ((3, 0.25), (5, 0.25), (5, 0.4))
    ]
    for rerank in rerankers:
        tried += [replace(base, rerank=rerank, rerank_weight=w) for w in (0.25, 0.4, 0.6)]
    return list(dict.fromkeys(tried))


def choose(results: Sequence[SystemResult]) -> Tuned:
    """Choose a configuration by cross-validation over questions.

    The questions are divided into five folds. For each fold, the configuration that is best on the
    other folds is measured on it. These scores, which did not influence the choice, are compared
    with those of the default.

    Parameters
    ----------
    results
        Results on the same questions, that of the default first.
    """
    scores = np.stack([result.scores["ndcg@10"] for result in results])
    folds = np.random.default_rng(_SEED).permutation(scores.shape[1]) % FOLDS
    held_out: Scores = np.zeros(scores.shape[1])
    for fold in range(FOLDS):
        inside = folds == fold
        best = int(np.argmax(scores[:, ~inside].mean(axis=1)))  # the default if scores are equal
        held_out[inside] = scores[best, inside]
    winner = results[int(np.argmax(scores.mean(axis=1)))]
    return Tuned(
        winner, float(scores[0].mean()), float(held_out.mean()), paired_p(scores[0], held_out)
    )
