"""Text in double quotes: it narrows a search to the passages that contain it.

The engine compares words. Where a phrase has signs (C#, -18), or is in a script that puts no
spaces between words, the passages' texts are compared as well.
"""

import re
from typing import NamedTuple

from twotower.retrieval.index.collection import Collection
from twotower.retrieval.vocabulary.filters import Condition, Filter
from twotower.retrieval.vocabulary.text import UNSPACED, normalised

# A quotation mark after a letter or digit does not open a phrase: 19" is a length.
_QUOTED = re.compile(r'(?<!\w)"([^"]*)"|\u201c([^\u201d]*)\u201d')
_WORD = re.compile(r"\w")
_SIGN = re.compile(r"[^\w\s]")
_ENDS = " \t.,;:!?"  # signs around a phrase that do not matter
_MOST_COMPARED = 20_000  # passages; with more, only the words of a phrase are compared
_TYPOGRAPHIC = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " ", "\u202f": " "}
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
)


class Narrowed(NamedTuple):
    """A filter, and the phrases that it does not contain because no passage has them."""

    where: Filter
    ignored: tuple[str, ...]


def phrases(question: str) -> list[str]:
    """List the texts in double quotes."""
    quoted = ((straight or curly).strip(_ENDS) for straight, curly in _QUOTED.findall(question))
    return [text for text in quoted if text]


def narrowed(question: str, where: Filter, collection: Collection) -> Narrowed:
    """Narrow a filter to the passages with the phrases of a question.

    A phrase that no passage has, of those with the phrases before it, is left out: a question finds
    what it is about although it quotes something else.
    """
    ignored = []
    for phrase in phrases(question):
        found = _passages_with(phrase, where, collection)
        if found is None:
            ignored.append(phrase)
        else:
            where = found
    return Narrowed(where, tuple(ignored))


def _passages_with(phrase: str, where: Filter, collection: Collection) -> Filter | None:
    """Return a filter for the passages with a phrase; ``None`` where there are none."""
    unspaced = UNSPACED.search(phrase) is not None
    by_words = where
    if _WORD.search(phrase) and not unspaced:
        by_words = where & Filter((Condition("text", phrase=phrase),))
    count = collection.count("chunk", by_words)
    as_written = unspaced or _SIGN.search(phrase) is not None
    if not count or not as_written or count > _MOST_COMPARED:
        return by_words if count and by_words is not where else None
    ids = [id for id, text in collection.texts(by_words) if contains(text, phrase)]
    return Filter(where.conditions, tuple(ids)) if ids else None


def contains(text: str, phrase: str) -> bool:
    """Whether a text contains a phrase as written, apart from case, spaces and typography."""
    pattern = r"\s+".join(map(re.escape, _plain(phrase).split()))
    if not UNSPACED.search(phrase):
        last = re.escape(pattern[-1]) if not _WORD.match(pattern[-1]) else r"\w"
        pattern = rf"(?<!\w){pattern}(?!{last})"
    return re.search(pattern, _plain(text)) is not None


def _plain(text: str) -> str:
    return normalised(text).translate(_TYPOGRAPHIC).casefold()
