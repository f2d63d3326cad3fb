import pytest

from twotower.retrieval.index.card import Calibration
from twotower.retrieval.search.abstention import features, judge


def test_features_by_hand():
    cosines = [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    found = features(cosines, (0.1, 0.1), 0.7, 0.9)
    assert found == pytest.approx(
        {"cosine": 0.6, "standing_out": 5.0, "lead": 0.4, "coverage": 0.7, "reranker": 0.9}
    )
    assert features([], (0.1, 0.1), 0.0)["lead"] == 0.0


@pytest.mark.parametrize(
    ("cosine", "answer", "probability"),
    [(0.5, "true", 0.5), (0.4, "false", 0.268941), (9e9, "true", 1.0)],
)
def test_a_judgement_is_logistic(cosine, answer, probability):
    judged = judge(Calibration({"cosine": 10.0}, -5.0, 30, 0.9), {"cosine": cosine})
    assert judged.answerable == answer
    assert judged.probability == pytest.approx(probability, abs=1e-5)
