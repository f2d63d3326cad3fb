"""Text of documents on the page: always text, never markup.

Whatever is written as HTML goes through `Markup.format`, which escapes; whatever is a label of a
Streamlit widget, which is Markdown, goes through `label`.
"""

import unicodedata
from collections.abc import Iterable

from markupsafe import Markup

from app.hits import escape_markdown

# What turns the writing round, so that a name reads as another one.
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSEEN = frozenset("\r\u00ad\u200b\u2060\ufeff")  # breaks and joins that show nothing
_SHOWN = frozenset("\n\t")


def plain(text: str) -> str:
    """Replace control characters, and those that turn the writing round, by a visible mark."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if c in _TURNS or (unicodedata.category(c) in ("Cc", "Cs") and c not in _SHOWN)
        else c
        for c in text
        if c not in _UNSEEN
    )


def label(text: str) -> str:
    """Make text a label: on one line, nothing in it is Markdown."""
    return escape_markdown(" ".join(plain(text).split()))


def marked(text: str, marks: Iterable[tuple[int, int]], kind: str = "term") -> Markup:
    """Write a text as HTML, with stretches marked: offsets, half-open, in order."""
    parts, at = [], 0
    for start, end in marks:
        if start < at:
            continue
        parts.append(
            Markup("{}<mark class='{}'>{}</mark>").format(
                plain(text[at:start]), kind, plain(text[start:end])
            )
        )
        at = end
    parts.append(Markup("{}").format(plain(text[at:])))
    return Markup("").join(parts)
