"""Plain text to elements: headings, lists and paragraphs by the layout of the lines."""

import re
from collections.abc import Iterator, Sequence

from twotower.ingest.elements import Element
from twotower.retrieval.vocabulary.text import UNSPACED

_BLANK = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+|\f+")
_UNDERLINE = re.compile(r"([=~^#*_+\"-])\1{2,}")
_UNDERLINE_LEVELS = {"=": 1, "-": 2}
_CAPITALS_LEVEL = 2
_LINE_LEVEL = 3  # of a line that stands by itself and of underlines of other signs
_HEADING_WORDS = 12
_HEADING_CHARACTERS = 120
_NARROWEST = 30  # characters of a line of prose; shorter ones are addresses and verses
_ITEM = re.compile(r"(?:[-*•‣◦▪+]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+(?=\S)")
_BULLET = re.compile(r"[*•‣◦▪+]\s+")
_COLUMNS = re.compile(r"\S(?: {3,}|\t+)\S")
_LETTERS = re.compile(r"[^\W\d_]{2}")


def elements_of_text(text: str, headings: bool = True) -> Iterator[Element]:
    """Divide a text at blank lines, underlines and list marks.

    Parameters
    ----------
    headings
        False where short lines are no headings, as in letters and in data.
    """
    blocks = [_lines(block) for block in _BLANK.split(text)]
    blocks = [block for block in blocks if block]
    for number, block in enumerate(blocks):
        if headings and len(block) == 1 and number + 1 < len(blocks) and _is_title(block[0]):
            level = _CAPITALS_LEVEL if block[0].isupper() else _LINE_LEVEL
            yield Element(" ".join(block[0].split()), "heading", level)
        else:
            yield from _block(block, headings)


def _lines(block: str) -> list[str]:
    return [line.expandtabs().rstrip() for line in block.split("\n") if line.strip()]


def _is_title(line: str) -> bool:
    """Whether a line by itself looks like a heading."""
    line = line.strip()
    if len(line) > _HEADING_CHARACTERS or len(line.split()) > _HEADING_WORDS:
        return False
    if line[-1] in ".,;:!?…" or not _LETTERS.search(line) or _COLUMNS.search(line):
        return False
    return (line[0].isupper() or line[0].isdigit()) and not _BULLET.match(line)


def _block(block: Sequence[str], headings: bool) -> Iterator[Element]:
    """Yield the elements of lines without a blank line between them."""
    rest: list[str] = []
    for number, line in enumerate(block):
        underline = _UNDERLINE.fullmatch(line.strip())
        if headings and underline and rest and _LETTERS.search(rest[-1]):
            title = rest.pop()
            yield from _paragraphs(rest)
            rest = []
            level = _UNDERLINE_LEVELS.get(underline[1], _LINE_LEVEL)
            yield Element(" ".join(title.split()), "heading", level)
        elif underline:
            continue  # a rule
        elif headings and not number and len(block) > 1 and line.isupper() and _is_title(line):
            yield Element(" ".join(line.split()), "heading", _CAPITALS_LEVEL)
        else:
            rest.append(line)
    yield from _paragraphs(rest)


def _paragraphs(lines: Sequence[str]) -> Iterator[Element]:
    """Yield list items, and what stands before and between them."""
    width = max(map(len, lines), default=0)
    part: list[str] = []
    item = False
    for line in lines:
        if _ITEM.match(line.lstrip()):
            yield from _joined(part, width, item)
            part, item = [line], True
        else:
            part.append(line)
    yield from _joined(part, width, item)


def _joined(lines: Sequence[str], width: int, item: bool) -> Iterator[Element]:
    """Join lines that were wrapped, and keep the others apart."""
    if not lines:
        return
    text = ""
    hard = 0
    for previous, line in zip(["", *lines], lines, strict=False):
        line = line.strip()  # noqa: PLW2901 - the margin says nothing here
        if not text:
            text = line
        elif _is_wrapped(previous, line, width):
            spaced = not UNSPACED.match(text[-1] + line[0])
            text += f" {line}" if spaced else line
        else:
            hard += 1
            text += f"\n{line}"
    if item:
        yield Element(_BULLET.sub("- ", text, count=1) if _BULLET.match(text) else text, "item")
    else:
        yield Element(text, "lines" if hard * 2 >= len(lines) else "text")


def _is_wrapped(previous: str, line: str, width: int) -> bool:
    """Whether a line goes on in the next one: the next word had no room in it."""
    if _COLUMNS.search(previous) or _COLUMNS.search(line):
        return False
    word = line.partition(" ")[0]
    no_room = len(previous) + 1 + len(word) > width >= _NARROWEST
    return no_room or (line[0].islower() and previous[-1] != ":")
