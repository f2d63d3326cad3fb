"""The logistic model of the calibration. It needs scikit-learn, which takes seconds to import."""

from collections.abc import Sequence
from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from twotower.evaluation.measure import Scores

_FOLDS = 10
_C = 0.3  # inverse of the regularisation strength


def predict_held_out(table: Scores, truth: Any, groups: Sequence[str]) -> Scores:
    """Compute the probability of each row with a model fitted without the rows of its group."""
    folds = GroupKFold(min(_FOLDS, len(set(groups))))
    probabilities = cross_val_predict(
        _model(), table, truth, groups=groups, cv=folds, method="predict_proba"
    )
    positive: Scores = probabilities[:, 1]
    return positive


def fit(table: Scores, truth: Any) -> tuple[list[float], float]:
    """Fit the model; return weights and bias for features that are not standardised."""
    model = _model().fit(table, truth)
    scaler, logistic = model[0], model[1]
    weights = logistic.coef_[0] / scaler.scale_
    bias = logistic.intercept_[0] - float((weights * scaler.mean_).sum())
    return [float(weight) for weight in weights], float(bias)


def area_under_curve(truth: Any, probability: Scores) -> float:
    """Compute the area under the ROC curve."""
    return float(roc_auc_score(truth, probability))


def _model() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=_C, class_weight="balanced"))
