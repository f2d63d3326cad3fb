"""The learning curve of a stage of training."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One point of the learning curve.

    Attributes
    ----------
    loss
        Mean loss since the last point.
    ndcg
        nDCG@10 on the validation questions; ``None`` where it was not measured.
    """

    number: int
    loss: float
    ndcg: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a stage went.

    Attributes
    ----------
    before, best
        nDCG@10 on the validation questions, before training and at the best checkpoint.
    stopped
        True if it ended early.
    """

    steps: int
    seconds: float
    before: float
    best: float
    best_step: int
    stopped: bool
    curve: tuple[Step, ...] = ()
