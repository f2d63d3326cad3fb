import pytest

from twotower.retrieval.search.phrases import contains, phrases


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ('does a 24" monitor fit the 19" rack', []),
        ('monitor "of the hall" and \u201clong bracket\u201d', ["of the hall", "long bracket"]),
        ('client "C#"', ["C#"]),
        ('pipe 3/4" and "brass fitting"', ["brass fitting"]),
        ('an open "quote', []),
        ('empty "" and ". ."', []),
    ],
)
def test_quotes_around_words_make_phrases(question, expected):
    assert phrases(question) == expected


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        ("The client is in C#.", "C#", True),
        ("The client is in C++.", "C#", False),
        ("The client is in C++.", "C+", False),
        ("At -18 degrees", "-18", True),
        ("At \u221218 degrees", "-18", True),
        ("Pages 5-18", "-18", False),
        ("At 18 degrees", "-18", False),
        ("777,000\u00a0crowns", "777,000 Crowns", True),
        ("777000 crowns", "777,000 crowns", False),
        ("本合同有效期为三年", "有效期", True),
        ("the re\u00adpair", "repair", True),
    ],
)
def test_a_phrase_is_compared_as_written(text, phrase, expected):
    assert contains(text, phrase) is expected


def test_an_unclosed_quote_takes_linear_time():
    assert phrases('"' + "a" * 100_000) == []
