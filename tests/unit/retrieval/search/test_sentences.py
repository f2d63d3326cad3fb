from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.retrieval.search.sentences import sentence_spans


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One is here. Two is there!", ["One is here.", "Two is there!"]),
        ('He said "no." Then left.', ['He said "no.', "Then left."]),
        ("a line that\ngoes on. Next", ["a line that\ngoes on.", "Next"]),
        ("Code | Meaning\nE-03 | dry", ["Code | Meaning", "E-03 | dry"]),
        ("...", ["..."]),
        ("", [""]),
    ],
)
def test_sentences(text, sentences):
    assert [text[a:b] for a, b in sentence_spans(text)] == sentences


@given(st.text(max_size=300))
def test_spans_are_in_order_and_within_the_text(text):
    spans = sentence_spans(text)
    assert spans
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("If you lose one, call ext. 250 straight away.", 1),
        ("Ask Dr. Nurmi. She knows.", 2),
        ("It is no. 5 of six. The answer is no. Pumps stop.", 3),
        ("Use a seal, e.g. XK-2041, or approx. 3 of them. 12 are left.", 2),
        ("It weighs 3.5 kg. it is said.", 1),
    ],
)
def test_a_full_stop_that_belongs_to_a_word_ends_no_sentence(text, count):
    assert len(sentence_spans(text)) == count
