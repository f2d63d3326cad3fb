import pytest

from twotower.retrieval.models.bm25 import Bm25, Bm25Settings
from twotower.retrieval.models.variants import with_variants

BM25 = Bm25(Bm25Settings(language="english"))


def score(question: str, passage: str) -> float:
    terms, vector = BM25.question_terms(question, ["english"]), BM25.encode_passage(passage)
    return sum(vector.weight(term) for term in terms.own)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("café", "cafe"),
        ("Müller", "Mueller"),
        ("Müller", "Muller"),
        ("straße", "strasse"),
        ("Łódź", "lodz"),
        ("Smørrebrød", "smorrebrod"),
        ("1,234,567", "1234567"),
        ("1 234 567", "1,234,567"),
        ("1.250.000", "1250000"),
        ("7,25", "7.25"),
        ("e-mail", "email"),
        ("+44 555 010-0123", "445550100123"),
        ("+44 (555) 010-0123", "5550100123"),
        ("+49 30 901 820", "030 901820"),
        ("鍵は台所にあります", "鍵"),
        ("maxRetryCount", "retry count"),
        ("HTTPServer", "server"),
        ("max_retry_count", "retry"),
        ("θάλασσα", "θαλασσα"),
        ("مُحَمَّد", "محمد"),
        ("本合同有效期为三年", "有效期"),
        ("営業時間は九時からです", "営業時間"),
        ("서울에서", "서울"),
        ("ราคาค่าเช่าเรือ", "ค่าเช่า"),
    ],
)
def test_a_word_is_found_however_it_is_written(one, other):
    assert score(one, f"before {other} after") > 0
    assert score(other, f"before {one} after") > 0


@pytest.mark.parametrize(
    "text",
    [
        "The pump has two valves.",
        "the well-known rule",
        "In 2024, XK-2041/b cost 35.50.",
        "Ключ",
        "",
    ],
)
def test_most_text_gets_no_variants(text):
    assert with_variants(text) == text


@pytest.mark.parametrize(
    "unit", ["a", "1", "1 ", "1,", "é", "中", "aB", "a-", "_", "+1(", "'", "\u0301"]
)
def test_variants_take_linear_time_and_space(unit):
    text = unit * (20_000 // len(unit))
    assert len(with_variants(text)) < 6 * len(text)
