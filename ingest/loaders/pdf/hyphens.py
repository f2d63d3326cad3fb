"""Hyphens at the ends of lines: those that cut a word, and those that belong to it."""

import re
from collections.abc import Sequence
from functools import cache

from twotower.ingest.loaders.pdf.lines import HYPHEN, Line

_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")  # noqa: RUF001 - the apostrophe is meant
_BEFORE = re.compile(r"[^\s\x02]*$")
_AFTER = re.compile(r"\S*")
_LETTERS = re.compile(r"[^\W\d_]*")
_SHORTEST = 3  # letters of a known word: shorter ones are syllables as well
# English words that compounds with a hyphen begin with, and endings that make no compound of them.
# The word list has many compounds without their hyphen, such as "wellknown".
_BEGIN_COMPOUNDS = frozenset(
    {"well", "ill", "self", "half", "full", "long", "short", "high", "low", "cross", "non", "ever"}
    | {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"}
)
_ENDINGS = frozenset(
    {"less", "ness", "ship", "hood", "land", "ward", "wards", "most", "able", "ting", "ling"}
)


class Hyphens:
    """Decides whether a hyphen at the end of a line stays, by the words of the document."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._known: set[str] | None = None

    def stays(self, before: str, after: str) -> bool:
        """Whether the hyphen between two lines belongs to the word.

        It does in a range of numbers, an address, and a compound such as ``state-of-the-art``. If
        nothing else is known, it does if it stands between two words, and both together are none.
        """
        first, second = _BEFORE.search(before)[0], _AFTER.match(after)[0]  # type: ignore[index]
        if not (first[-1:].isalpha() and second[:1].islower()) or "-" in first:
            return True
        if any(character in first + second for character in "@/\\_"):
            return True
        first = first.lstrip("([{\"'“‘„«")  # noqa: RUF001 - the quotes are meant
        second = _LETTERS.match(second)[0]  # type: ignore[index]
        joined, compound = (first + second).casefold(), f"{first}-{second}".casefold()
        words = self._words()
        if joined in words or compound in words:
            return joined not in words
        parts = (first.casefold(), second.casefold())
        if parts[0] in _BEGIN_COMPOUNDS and len(parts[1]) >= _SHORTEST:
            return parts[1] not in _ENDINGS
        if joined in _english() or min(map(len, parts)) < _SHORTEST:
            return False
        return all(part in words or part in _english() for part in parts)

    def _words(self) -> set[str]:
        """Return the words of the document that no line end cuts."""
        if self._known is None:
            self._known = set()
            cut = False
            for line in self._lines:
                words = [word.casefold() for word in _WORD.findall(line.text)]
                ends = line.text.endswith(HYPHEN)
                self._known.update(words[int(cut) : len(words) - int(ends)])
                cut = ends
        return self._known


@cache
def _english() -> frozenset[str]:
    from unstructured.nlp.english_words import ENGLISH_WORDS

    return frozenset(ENGLISH_WORDS)
