"""Other ways to write the words of a text, so that BM25 finds a word however it is written.

The engine's analyser splits at punctuation and white space, and compares words without case. What
it cannot see is added to the text that it analyses, to passages and questions alike: words without
accents (cafe), numbers without separators (1234567), compounds in one word (email), the parts of
names in code (max retry count), the digits of a telephone number with and without the code of its
country, and pairs of characters for scripts that put no spaces between words.
"""

import re
import unicodedata
from collections.abc import Iterator

from twotower.retrieval.vocabulary.text import UNSPACED

# A word, with accents in characters of their own and with the vowel marks of Hebrew and Arabic.
_WORD = re.compile(r"\w[\w\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]*")
_SPECIAL = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L"}
    | {"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "\u0131": "i", "İ": "I"}
)
_UMLAUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
_GROUPED = re.compile(r"(?<![\w.,])\d{1,3}(?:[ ,.'\u2019\u00a0\u202f]\d{3})+(?!\d)")
_DECIMAL_COMMA = re.compile(r"(?<![\w.,])\d+,\d{1,2}(?![\d,])")
# Digits in groups, seven or more: a telephone number, an account or a card.
_PHONE = re.compile(r"(?<![\w.])\+?\(?\d(?:[\s()./-]{0,2}\d){6,18}(?!\w)")
_PREFIXED = re.compile(r"(?<![\w-])[^\W\d_]{1,3}-[^\W\d_]{2,40}(?![\w-])")
_COUNTRY_CODE = re.compile(r"\+\d{1,3}[\s()./-]+")
# A Chinese character between kana: in Japanese it is a word by itself or the root of one.
_SINGLE = re.compile(r"(?<![\u3400-\u9fff])[\u3400-\u9fff](?=[\u3040-\u30ff])")
_CASE_CHANGE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+")
_LONGEST_NAME = 100  # characters of a name in code


def with_variants(text: str) -> str:
    """Return a text with the other forms of its words after it, if it has any."""
    added = " ".join(_variants(text))
    return f"{text}\n{added}" if added else text


def _variants(text: str) -> Iterator[str]:
    for match in UNSPACED.finditer(text):
        run = match[0]
        yield from (run[n : n + 2] for n in range(len(run) - 1))
        yield from _SINGLE.findall(run)
    yield from _numbers(text)
    for match in _PREFIXED.finditer(text):
        yield match[0].replace("-", "")
    for match in _WORD.finditer(text):
        word = match[0]
        if not word.isascii():
            yield from _without_accents(word)
        parts = _CASE_CHANGE.split(word) if len(word) <= _LONGEST_NAME else []
        if len(parts) > 1:
            yield from filter(None, parts)


def _numbers(text: str) -> Iterator[str]:
    for match in _GROUPED.finditer(text):
        yield re.sub(r"\D", "", match[0])
    for match in _DECIMAL_COMMA.finditer(text):
        yield match[0].replace(",", ".")
    for match in _PHONE.finditer(text):
        if not match[0].isdigit():
            yield re.sub(r"\D", "", match[0])
        if code := _COUNTRY_CODE.match(match[0]):
            yield re.sub(r"\D", "", match[0][code.end() :])
            yield "0" + re.sub(r"\D", "", match[0][code.end() :]).lstrip("0")


def _without_accents(word: str) -> Iterator[str]:
    """Yield the forms of a word in letters without marks, if it has any that are different."""
    if "LATIN" not in unicodedata.name(word[0], "") and not _has_marks_of_other_scripts(word):
        return
    forms = {_bare(word.translate(_UMLAUT)), _bare(word)}
    yield from sorted(forms - {word})


def _bare(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word.translate(_SPECIAL))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _has_marks_of_other_scripts(word: str) -> bool:
    """Whether a word has accents (Greek) or vowel marks (Arabic, Hebrew) that are often left out.

    In Cyrillic and in the scripts of India, a mark makes another letter.
    """
    return any(
        unicodedata.name(letter, "").partition(" ")[0] in ("GREEK", "ARABIC", "HEBREW")
        for letter in word[:2]
    )
