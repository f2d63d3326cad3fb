"""Sentences of a passage, by punctuation and lines: for any script with full stops, no model."""

import re

_END = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])[\"')\]\u201d\u2019]*\s+|\n(?![a-z])")
# A full stop after these does not end a sentence: "Dr. Nurmi", or "ext. 250" before a number.
_TITLE = re.compile(r"\b(?:mr|mrs|ms|dr|prof|st|vs|cf|e\.g|i\.e)\.$", re.IGNORECASE)
_COUNTED = re.compile(
    r"\b(?:ext|tel|nos?|figs?|pp?|vol|ch|sec|art|approx|ca|min|max|incl)\.$", re.IGNORECASE
)
_LONGEST = 8  # characters of an abbreviation, with its full stop
_SHORTEST = 3  # characters that are letters or digits


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Find the sentences of a text: offsets, half-open, without the white space around them.

    The end of a line ends a sentence too, unless the next line begins with a small letter: each row
    of a table and each item of a list is one. A passage without any sentence is one sentence.
    """
    spans = []
    start = 0
    for end in [*_END.finditer(text), None]:
        if end is not None and _abbreviates(text, end):
            continue
        stop = len(text) if end is None else end.start()
        piece = text[start:stop]
        if sum(character.isalnum() for character in piece) >= _SHORTEST:
            lead = len(piece) - len(piece.lstrip())
            spans.append((start + lead, start + len(piece.rstrip())))
        start = len(text) if end is None else end.end()
    return spans or [(0, len(text))]


def _abbreviates(text: str, end: re.Match[str]) -> bool:
    """Whether the full stop before a gap belongs to an abbreviation."""
    if end[0].strip() or "\n" in end[0] or text[end.start() - 1] != ".":
        return False
    before, following = text[max(0, end.start() - _LONGEST) : end.start()], text[end.end() :][:1]
    if following.isdigit() and _COUNTED.search(before):
        return True
    return following.islower() or _TITLE.search(before) is not None
