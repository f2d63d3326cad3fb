"""Examples from labels: each question once, and targets over documents and pages."""

from uuid import UUID

import numpy as np

from twotower.evaluation.dataset import Dataset
from twotower.training.examples import Passages, examples_of
from twotower.training.verdict import Comparison, Verdict

PASSAGES = Passages(
    tuple(UUID(int=n) for n in range(5)),
    ("a.md", "a.md", "b.pdf", "b.pdf", "c.md"),
    ((None, None), (None, None), (1, 1), (2, 3), (None, None)),
    np.eye(5, dtype=np.float32),
)


def test_repeated_questions_are_put_together_and_contradictions_counted():
    dataset = Dataset(
        "d",
        {"1": "Where is it?", "2": "where  is it?", "3": "Who?", "4": "Why?"},
        {"1": {"a": 1, "b": 1}, "2": {"a": 0, "c": 2}, "3": {"a": 3}, "4": {"a": 0}},
    )
    clicks = Dataset("c", {"5": "WHO?", "6": "When?"}, {"5": {"b": 1}, "6": {"a": 1}})
    examples = examples_of({"labels": dataset, "clicks": clicks})
    assert examples.questions == ("Where is it?", "Who?", "When?")
    assert examples.sources == ("labels", "labels", "clicks")
    assert examples.judged == ({"a": 0, "b": 1, "c": 2}, {"a": 3, "b": 1}, {"a": 1})
    assert (examples.repeated, examples.contradicting) == (2, 1)


def test_targets_are_distributions_by_grade_over_documents_and_pages():
    targets = PASSAGES.targets(
        [{"a.md": 1, "c.md": 2}, {"b.pdf#page=3": 1}, {"c.md": 0}, {"b.pdf#page=9": 1, "x": 1}]
    )
    assert targets.tolist() == [
        [0.25, 0.25, 0, 0, 0.5],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]


def test_a_sample_has_all_wanted_passages():
    wanted = np.array([False, False, True, False, True])
    some = PASSAGES.some(wanted, 3)
    assert len(some.ids) == 3
    assert {"b.pdf", "c.md"} <= set(some.sources)
    assert PASSAGES.some(wanted, 9) is PASSAGES
    assert [id.int for id in PASSAGES.some(wanted, 1).ids] == [2, 4]


def test_only_a_gain_of_hybrid_search_that_is_no_chance_pays():
    low, high = np.linspace(0.2, 0.6, 60), np.linspace(0.3, 0.7, 60)
    gain, none, loss = (Comparison.of(a, b) for a, b in ((low, high), (low, low), (high, low)))
    assert gain.is_gain
    assert not none.is_gain
    assert not loss.is_gain
    assert (none.p, none.low, none.high) == (1.0, 0.0, 0.0)
    noise = Comparison.of(low, low + np.tile([0.3, -0.29], 30))
    assert noise.after > noise.before
    assert not noise.is_gain
    assert not Verdict({"hybrid": none, "dense": gain}, 60, 1, 5).pays
    assert Verdict({"hybrid": gain, "dense": none}, 60, 1, 5).to_json()["pays"] is True
