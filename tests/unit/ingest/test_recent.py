"""Copies are encoded once, as long as their vectors are remembered."""

import numpy as np

from twotower.ingest.recent import RecentVectors


class Letters:
    """Stands for a leg: the vector of a text is its number of letters; it records its calls."""

    def __init__(self):
        self.encoded = []

    def encode_passages(self, texts):
        self.encoded += texts
        return np.array([[len(text)] for text in texts], dtype=np.float32)


def test_each_text_is_encoded_once():
    leg, recent = Letters(), RecentVectors()
    rows = [
        recent.encode(leg, texts) for texts in (["one", "three", "one"], ["three", "seventeen"])
    ]
    assert leg.encoded == ["one", "three", "seventeen"]
    assert [[float(row[0]) for row in rows_] for rows_ in rows] == [[3, 5, 3], [5, 9]]


def test_the_oldest_are_forgotten_when_the_limit_is_reached():
    leg, recent = Letters(), RecentVectors(limit=8)  # two vectors of one float32
    for texts in (["a", "bb"], ["a"], ["ccc"], ["a"], ["bb"]):
        recent.encode(leg, texts)
    assert leg.encoded == ["a", "bb", "ccc", "bb"]


def test_nothing_is_encoded_for_no_texts():
    leg = Letters()
    assert RecentVectors().encode(leg, []) == []
    assert leg.encoded == []
