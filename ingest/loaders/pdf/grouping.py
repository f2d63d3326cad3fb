"""Group the lines of a PDF into headings, paragraphs, list items and table rows."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twotower.ingest.elements import Element, Kind, LineBox
from twotower.ingest.loaders.pdf.lines import BULLETS, HYPHEN, WORD, Line

_PARAGRAPH_GAP = 0.75  # em of white space above the first line of a new paragraph
_HEADING_SIZE = 1.12  # minimum size of a heading, as a multiple of the body's size
_HEADING_WORDS = 14  # maximum number of words of a heading
_BOLDER = 1.25  # weight of bold text as a multiple of the body's, if the font name does not say
_RIGHT_EDGE = 0.88  # share of the column's width: a line that ends beyond it was wrapped
_BULLET = re.compile(rf"^\s*([{BULLETS}]|\(?\d{{1,2}}[.)]|\(?[a-z][.)])\s+")


@dataclass(frozen=True, slots=True)
class Body:
    """Most common font size and weight of a document's text; headings differ from them."""

    size: float
    weight: float


def elements_of_lines(lines: Sequence[Line]) -> Iterator[Element]:
    """Group lines into headings, paragraphs, list items and table rows."""
    body = _body(lines)
    groups = list(_groups(lines, body))
    sizes = {round(group[0].size) for group in groups if _is_heading(group, body)}
    levels = {size: level for level, size in enumerate(sorted(sizes, reverse=True), start=1)}
    for group in groups:
        first = group[0]
        if _is_heading(group, body):
            yield _element(group, "heading", levels[round(first.size)])
        elif first.tabular:
            yield _element(group, "lines")
        else:
            yield _element(group, "item" if _BULLET.match(first.text) else "text")


def _body(lines: Sequence[Line]) -> Body:
    sizes: Counter[float] = Counter()
    weights: Counter[int] = Counter()
    for line in lines:
        if not line.tabular:
            sizes[round(line.size * 2) / 2] += len(line.text)
            weights[line.weight] += len(line.text)
    if not sizes:
        return Body(10.0, 400.0)
    return Body(sizes.most_common(1)[0][0], weights.most_common(1)[0][0])


def _groups(lines: Sequence[Line], body: Body) -> Iterator[list[Line]]:
    group: list[Line] = []
    for line in lines:
        if group and _begins_group(group[-1], line, body):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _begins_group(previous: Line, line: Line, body: Body) -> bool:
    """Whether a line belongs to another element than the line before it."""
    if line.page != previous.page or line.tabular != previous.tabular:
        return True
    gap = previous.bottom - line.top
    above = gap < -line.size  # the line is in the next column or in another box
    if line.tabular:
        return gap > 3 * line.size or above
    if abs(line.size - previous.size) > 0.1 * body.size or _bold(line, body) != _bold(
        previous, body
    ):
        return True
    return gap > _PARAGRAPH_GAP * line.size or above or bool(_BULLET.match(line.text))


def _bold(line: Line, body: Body) -> bool:
    return line.bold or line.weight > body.weight * _BOLDER


def _is_heading(group: Sequence[Line], body: Body) -> bool:
    """Whether a group is short, and larger than the body or bold where the body is not."""
    first = group[0]
    text = " ".join(line.text for line in group)
    if first.tabular or len(text.split()) > _HEADING_WORDS or not WORD.search(text):
        return False
    if text[0] in BULLETS:
        return False
    if first.size > body.size * _HEADING_SIZE:
        return True
    return _bold(first, body) and first.size > body.size * 0.9 and text[-1] not in ".,;"


def _element(group: Sequence[Line], kind: Kind, level: int = 0) -> Element:
    """Join wrapped lines with a space, remove end-of-line hyphens, and keep real line breaks."""
    left = min(line.left for line in group)
    edge = left + (max(line.right for line in group) - left) * _RIGHT_EDGE
    text = ""
    boxes = []
    previous = group[0]
    for line in group:
        if text.endswith(HYPHEN):
            text = text[:-1]
        elif text:
            wrapped = kind == "heading" or (kind != "lines" and previous.right >= edge)
            text += " " if wrapped else "\n"
        start, previous = len(text), line
        text += line.text
        corners = (round(x, 1) for x in (line.left, line.bottom, line.right, line.top))
        boxes.append(LineBox(start, len(text), *corners))
    return Element(text.replace(HYPHEN, "-"), kind, level, group[0].page, tuple(boxes))
