"""The verdict on something learned: measured on questions that it was not learned from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twotower.evaluation.measure import Scores, bootstrap_interval, paired_p

SIGNIFICANT = 0.05
FEWEST_QUESTIONS = 30
DECIDES = "hybrid"  # the mode whose gain decides


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure before and after, over the same questions.

    Attributes
    ----------
    before, after
        Means.
    low, high
        95% bootstrap interval of the mean difference.
    p
        Two-sided p of the paired randomisation test.
    """

    before: float
    after: float
    low: float
    high: float
    p: float

    @classmethod
    def of(cls, before: Scores, after: Scores) -> "Comparison":
        """Compare the scores of questions, in the same order."""
        low, high = bootstrap_interval(after - before)
        return cls(float(before.mean()), float(after.mean()), low, high, paired_p(before, after))

    @property
    def is_gain(self) -> bool:
        """True if the mean rose, and not by chance."""
        return self.after > self.before and self.p < SIGNIFICANT


@dataclass(frozen=True, slots=True)
class Verdict:
    """What learning changed.

    Attributes
    ----------
    modes
        nDCG@10 in each mode, on questions held out: each part of the questions was measured with
        what the other parts taught.
    questions, repeats, parts
        Number of questions; how often they were divided at random, and into how many parts.
    """

    modes: Mapping[str, Comparison]
    questions: int
    repeats: int
    parts: int

    @property
    def pays(self) -> bool:
        """True if hybrid search gains."""
        return self.modes[DECIDES].is_gain

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON object."""
        return {
            "questions": self.questions,
            "repeats": self.repeats,
            "parts": self.parts,
            "pays": self.pays,
            "ndcg@10": {
                mode: {
                    "before": round(c.before, 4),
                    "after": round(c.after, 4),
                    "ci95_of_difference": [round(c.low, 4), round(c.high, 4)],
                    "p": round(c.p, 4),
                }
                for mode, c in self.modes.items()
            },
        }
