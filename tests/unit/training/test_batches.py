import pytest

from twotower.training.batches import Batches, Material
from twotower.training.negatives import bm25, filled
from twotower.training.pairs import Pair
from twotower.training.recipe import LossTable, NegativesTable, Stage, TrainingTable

PAIRS = [Pair(f"q{n}", n, f"text {n}", "labels") for n in range(4)]
RELEVANT = {"q0": frozenset({0, 7}), "q1": frozenset({1})}
TEXTS = [f"passage {n}" for n in range(10)]


def stage(loss="softmax", **negatives) -> Stage:
    return Stage(
        negatives=NegativesTable(**negatives),
        loss=LossTable(name=loss),
        training=TrainingTable(batch=2, steps=4),
    )


def batches(given: Stage, kind="dense", mine=dict, teacher=None, found=None) -> Batches:
    material = Material(PAIRS, [0, 1, 2, 3, 0, 1, 2, 3], TEXTS, RELEVANT, found or {})
    return Batches(material, kind, given, mine, teacher)


def test_bm25_negatives_are_the_first_that_do_not_answer():
    def search(questions):
        return [[7, 0, 5, 3, 2] for _ in questions]

    found = bm25(PAIRS[:2], search, RELEVANT, 2)
    assert found == {"q0": [5, 3], "q1": [7, 0]}


def test_missing_negatives_are_filled_at_random_and_never_answer():
    forbidden = frozenset(range(9))
    assert filled([], 2, forbidden, 10, seed=0) == [9, 9]
    assert filled([4, 5], 1, forbidden, 10, seed=0) == [4]


def test_a_row_has_its_question_passage_and_negatives_with_their_numbers():
    made = batches(stage(bm25=1, uniform=2), found={"q0": [5], "q1": [1, 6]})
    first, second = made([0, 1])
    assert first["question"] == "q0"
    assert first["passage"] == "text 0"
    assert first["passage_0"] == "passage 5"
    assert first["label"][:3] == [0, 0, 5]
    assert second["label"][:3] == [1, 1, 6]  # 1 answers the question itself
    assert first["passage_1"] == TEXTS[first["label"][3]]  # one uniform negative for each row
    assert made([0, 1]) == [first, second]
    assert made.relevant[0] == {0, 7}


def test_a_reranker_reads_each_answer_as_a_pair_of_its_own():
    made = batches(stage("pointwise", bm25=1), "reranker", found={"q0": [5]})
    assert made([0]) == [
        {"question": "q0", "passage": "text 0", "label": 1.0},
        {"question": "q0", "passage": "passage 5", "label": 0.0},
    ]


def test_a_teacher_scores_each_pair_once():
    seen = []

    def teacher(pairs):
        seen.extend(pairs)
        return [float(len(text)) for _, text in pairs]

    made = batches(stage("kl", bm25=1), teacher=teacher, found={"q0": [5]})
    assert made([0])[0]["label"] == [6.0, 9.0]
    made([4])
    assert seen == [("q0", "text 0"), ("q0", "passage 5")]


@pytest.mark.parametrize(("refresh", "times"), [(0, 1), (1, 4), (2, 2)])
def test_negatives_are_mined_again_after_so_many_steps(refresh, times):
    mined = []

    def mine():
        mined.append(len(mined))
        return {"q0": [len(mined) + 4]}

    made = batches(stage(mined=1, refresh=refresh), mine=mine)
    negatives = [made([first, first + 1])[0]["label"][2] for first in range(0, 8, 2)]
    assert len(mined) == times
    assert negatives[0] == 5
    resumed = batches(stage(mined=1, refresh=refresh), mine=lambda: pytest.fail("mined again"))
    resumed.restore(made.state())
    assert resumed([6, 7]) == made([6, 7])
