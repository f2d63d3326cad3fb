"""Text of documents on the page: always text, never markup.

HTML is built with `Markup.format`, which escapes its arguments. Labels of Streamlit widgets are
Markdown, so their text goes through `label`.
"""

import unicodedata
from collections.abc import Iterable

from markupsafe import Markup

from twotower.app.services.exports import escape_markdown

# Characters that change the writing direction, so that a name reads like another one.
_DIRECTION_MARKS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_INVISIBLE = frozenset("\r\u00ad\u200b\u2060\ufeff")  # breaks and joiners without a glyph
_WHITESPACE = frozenset("\n\t")


def plain(text: str) -> str:
    """Replace control characters and direction marks by a visible character."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if c in _DIRECTION_MARKS
        or (unicodedata.category(c) in ("Cc", "Cs") and c not in _WHITESPACE)
        else c
        for c in text
        if c not in _INVISIBLE
    )


def label(text: str) -> str:
    """Turn text into a label: one line, with Markdown escaped."""
    return escape_markdown(" ".join(plain(text).split()))


def marked(text: str, marks: Iterable[tuple[int, int]], kind: str = "term") -> Markup:
    """Turn text into HTML and mark spans of it: half-open offsets, in order."""
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
