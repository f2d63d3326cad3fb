"""Text of documents on the page: always text, never markup.

Whatever is written as HTML goes through `Markup.format`, which escapes; whatever is a label of a
Streamlit widget, which is Markdown, goes through `label`.
"""

import unicodedata
from collections.abc import Iterable

from markupsafe import Markup

from app.hits import escape_markdown

_SHOWN = "\n\t"


def plain(text: str) -> str:
    """Replace characters that show nothing, or turn the writing round, by a visible mark."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(c) in ("Cc", "Cs", "Cf") and c not in _SHOWN
        else c
        for c in text
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
