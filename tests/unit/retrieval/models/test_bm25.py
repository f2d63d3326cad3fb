import pytest

from twotower.retrieval.models.bm25 import Bm25, Bm25Settings, count_terms


def test_weights_follow_the_formula():
    settings = Bm25Settings(k1=1.2, b=0.75, avg_len=10.0, language="english")
    vector = Bm25(settings).encode_passage("pump pump flange")

    def weight(frequency: int) -> float:
        norm = 1 - settings.b + settings.b * 3 / settings.avg_len
        return frequency * (settings.k1 + 1) / (frequency + settings.k1 * norm)

    assert sorted(vector.values) == pytest.approx([weight(1), weight(2)], rel=1e-5)


@pytest.mark.parametrize(
    ("text", "terms"),
    [("", 0), ("the of and", 0), ("the pump and the pump of the flange", 3), ("XK-2041/b", 3)],
)
def test_stop_words_are_not_counted(text, terms):
    assert count_terms(text, "english") == terms


def test_matches_are_the_inflected_forms_of_the_questions_words():
    text = "Refunds are refunded within ten days; the seal is not."
    spans = Bm25(Bm25Settings()).matches("when is a refund paid for the seal", text, ["english"])
    assert [text[a:b] for a, b in spans] == ["Refunds", "refunded", "seal"]
