"""Sentences of a passage, by punctuation and lines: no model, any script with full stops."""

import re

_END = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])[\"')\]\u201d\u2019]*\s+|\n(?![a-z])")
_SHORTEST = 3  # characters that are letters or digits


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Find the sentences of a text: offsets, half-open, without the white space around them.

    A line ends a sentence too, unless the next one goes on in a small letter: the rows of tables
    and the items of lists stand for themselves. A passage without any sentence is one.
    """
    spans = []
    start = 0
    for end in [*_END.finditer(text), None]:
        stop = len(text) if end is None else end.start()
        piece = text[start:stop]
        if sum(character.isalnum() for character in piece) >= _SHORTEST:
            lead = len(piece) - len(piece.lstrip())
            spans.append((start + lead, start + len(piece.rstrip())))
        start = len(text) if end is None else end.end()
    return spans or [(0, len(text))]
