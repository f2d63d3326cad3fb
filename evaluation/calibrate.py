"""When to say that nothing answers: a logistic model, fitted on labelled questions.

Questions that nothing answers are rare in labelled sets, so each answerable one is asked a second
time with its own documents hidden: then nothing answers it either.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evaluation.dataset import Dataset
from evaluation.measure import Scores
from retrieval.abstention import Calibration
from retrieval.errors import ConfigurationError
from retrieval.filters import Condition, Filter
from retrieval.options import SearchOptions
from retrieval.retriever import Retriever

FEWEST = 20
_FOLDS = 10
_STRENGTH = 0.3  # of the regularisation, as scikit-learn's C


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibration and how well it separates, always on questions that it was not fitted on.

    Attributes
    ----------
    auc_hidden
        Between questions as they are and with their documents hidden.
    auc_unanswerable
        Between answerable questions and those that nothing answers; ``None`` without such.
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
    """Fit on every question, judge by cross-validation.

    Raises
    ------
    ConfigurationError
        If the mode is not ``hybrid`` or there are too few questions.
    """
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415 - costs other commands their start

    if options.mode != "hybrid":
        raise ConfigurationError("calibration needs --mode hybrid: it looks at both legs")
    if len(dataset.judged) < FEWEST:
        raise ConfigurationError(
            f"{len(dataset.judged)} answerable questions are too few to calibrate on: at least "
            f"{FEWEST} are needed"
        )
    rows, groups, labels = [], [], []
    for id, text in dataset.questions.items():
        answerable = id in dataset.judged
        for hidden in (False, True) if answerable else (False,):
            asked = _without(options, dataset.judged[id]) if hidden else options
            hits = retriever.retrieve(text, asked)
            progress(1)
            if hits:
                rows.append(hits[0].judgement.features)
                groups.append(id)
                labels.append("hidden" if hidden else "answerable" if answerable else "no")
    names = sorted(rows[0])
    table = np.array([[row[name] for name in names] for row in rows])
    kinds = np.array(labels)
    truth = kinds == "answerable"
    probability = _held_out(table, truth, groups)
    separated = {
        kind: roc_auc_score(truth[chosen], probability[chosen])
        for kind in ("hidden", "no")
        if (kinds == kind).any() and (chosen := truth | (kinds == kind)).any()
    }
    weights, bias = _fitted(table, truth)
    calibration = Calibration(
        weights=dict(zip(names, weights, strict=True)),
        bias=bias,
        questions=len(dataset.questions),
        auc=float(separated["hidden"]),
    )
    return Calibrated(calibration, separated["hidden"], separated.get("no"))


def _without(options: SearchOptions, places: Mapping[str, int]) -> SearchOptions:
    sources = sorted({place.split("#page=")[0] for place, score in places.items() if score > 0})
    hidden = Filter((Condition("source", tuple(sources), negated=True),))
    return replace(options, where=options.where & hidden)


def _held_out(table: Scores, truth: Any, groups: Sequence[str]) -> Scores:
    """Probabilities for each row from a model that saw neither it nor its question."""
    from sklearn.model_selection import GroupKFold, cross_val_predict  # noqa: PLC0415 - as above

    folds = GroupKFold(min(_FOLDS, len(set(groups))))
    answer = cross_val_predict(
        _model(), table, truth, groups=groups, cv=folds, method="predict_proba"
    )
    probability: Scores = answer[:, 1]
    return probability


def _fitted(table: Scores, truth: Any) -> tuple[list[float], float]:
    """Weights and bias on the features' own scales."""
    model = _model().fit(table, truth)
    scaler, logistic = model[0], model[1]
    weights = logistic.coef_[0] / scaler.scale_
    bias = logistic.intercept_[0] - float((weights * scaler.mean_).sum())
    return [float(weight) for weight in weights], float(bias)


def _model() -> Any:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - as above
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415 - as above
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - as above

    return make_pipeline(StandardScaler(), LogisticRegression(C=_STRENGTH, class_weight="balanced"))
