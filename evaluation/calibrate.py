"""Calibration: fits a logistic model that judges whether a question has an answer in the index.

Questions that no document answers are rare in labelled sets. Each answerable question is therefore
searched a second time with its own documents hidden, so that no document answers it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from twotower.evaluation.dataset import Dataset
from twotower.retrieval.index.card import Calibration
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.search.retriever import Retriever
from twotower.retrieval.vocabulary.errors import ConfigurationError, MissingExtra
from twotower.retrieval.vocabulary.filters import Condition, Filter

FEWEST_QUESTIONS = 20


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration, with its areas under the ROC curve on questions that it was not fitted on.

    Attributes
    ----------
    auc_hidden
        Separation of the answerable questions from the same questions with hidden documents.
    auc_unanswerable
        Separation of the answerable questions from those that no document answers; ``None`` if
        there are no such questions.
    """

    calibration: Calibration
    auc_hidden: float
    auc_unanswerable: float | None


def calibrate(
    retriever: Retriever,
    dataset: Dataset,
    options: SearchOptions,
    progress: Callable[[int], None] = lambda _: None,
) -> Calibrated:
    """Fit a calibration on all questions, and measure it by cross-validation.

    Raises
    ------
    ConfigurationError
        If the mode is not ``hybrid`` or there are too few questions.
    MissingExtra
        If scikit-learn is not installed.
    """
    if options.mode != "hybrid":
        raise ConfigurationError(
            f"calibration uses the results of both legs: set the mode to hybrid, not {options.mode}"
        )
    if len(dataset.judged) < FEWEST_QUESTIONS:
        raise ConfigurationError(
            f"{len(dataset.judged)} answerable questions are too few to calibrate on: at least "
            f"{FEWEST_QUESTIONS} are needed"
        )
    try:
        from twotower.evaluation import logistic  # noqa: PLC0415 - imports scikit-learn: seconds
    except ImportError as error:
        raise MissingExtra(
            "calibration needs the extra 'eval': run `make install`, or pip install "
            "'twotower[eval]'"
        ) from error
    rows, groups, labels = [], [], []
    for id, text in dataset.questions.items():
        answerable = id in dataset.judged
        for hidden in (False, True) if answerable else (False,):
            effective = without_answers(options, dataset.judged[id]) if hidden else options
            result = retriever.retrieve(text, effective)
            progress(1)
            if result.hits:
                rows.append(result.judgement.features)
                groups.append(id)
                labels.append("hidden" if hidden else "answerable" if answerable else "no")
    names = sorted(rows[0])
    table = np.array([[row[name] for name in names] for row in rows])
    kinds = np.array(labels)
    truth = kinds == "answerable"
    probability = logistic.predict_held_out(table, truth, groups)
    auc = {
        kind: logistic.area_under_curve(truth[chosen], probability[chosen])
        for kind in ("hidden", "no")
        if (kinds == kind).any() and (chosen := truth | (kinds == kind)).any()
    }
    weights, bias = logistic.fit(table, truth)
    calibration = Calibration(
        weights=dict(zip(names, weights, strict=True)),
        bias=bias,
        questions=len(dataset.questions),
        auc=auc["hidden"],
    )
    return Calibrated(calibration, auc["hidden"], auc.get("no"))


def without_answers(options: SearchOptions, judgements: Mapping[str, int]) -> SearchOptions:
    """Exclude the relevant documents of a question from the search."""
    relevant = (location for location, score in judgements.items() if score > 0)
    sources = sorted({location.split("#page=")[0] for location in relevant})
    hidden = Filter((Condition("source", tuple(sources), negated=True),))
    return replace(options, where=options.where & hidden)
