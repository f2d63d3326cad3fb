"""The marks of footnotes, as they stand raised behind a word."""

import re

_MARK = re.compile(r"\(?(?:[\d*†‡§,\s]{1,6}|[a-z])\)?")
_BEFORE = re.compile(r"[^\W\d_]{4}$|[.,;:!?)\]”\"%]$")


def is_note_mark(raised: str, before: str) -> bool:
    """Whether raised text is the mark of a note, and not a part of the word before it.

    After a short word or a number it is a part, as in m² and 10³.
    """
    return bool(_MARK.fullmatch(raised) and _BEFORE.search(before))
