"""Group the lines of a PDF into headings, paragraphs, list items and table rows."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from twotower.ingest.elements import Element, Kind, LineBox
from twotower.ingest.loaders.pdf.hyphens import Hyphens
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
    hyphens = Hyphens(lines)
    lines = _with_whole_labels(lines, hyphens)
    groups = list(_groups(lines, body))
    sizes = {round(group[0].size) for group in groups if _is_heading(group, body)}
    levels = {size: level for level, size in enumerate(sorted(sizes, reverse=True), start=1)}
    columns: Line | None = None  # names of the columns of the last table
    previous: Element | None = None
    for group in groups:
        first = group[0]
        if _is_heading(group, body):
            element = _element(group, "heading", levels[round(first.size)], hyphens)
        elif first.tabular:
            columns = _column_names(group, columns)
            element = _element(group, "table" if columns else "lines", 0, hyphens)
            if columns and columns not in group:
                element = _with_first_line(element, columns.text)
        else:
            kind: Kind = "item" if _BULLET.match(first.text) else "text"
            element = _element(group, kind, 0, hyphens)
        if not first.tabular and (len(group) > 1 or element.kind == "heading"):
            columns = None  # the table has ended
        if previous is not None:
            previous, element = _rejoined(previous, element, hyphens)
            yield _without_marks(previous)
        previous = element
    if previous is not None:
        yield _without_marks(previous)


def _with_whole_labels(lines: Sequence[Line], hyphens: Hyphens) -> list[Line]:
    """Join the label of a table's row that is cut at a hyphen and goes on with the row's cells."""
    whole: list[Line] = []
    for line in lines:
        last = whole[-1] if whole else None
        if last and _is_cut_label(last, line):
            whole[-1] = _joined(last, line, hyphens)
        else:
            whole.append(line)
    return whole


def _is_cut_label(line: Line, following: Line) -> bool:
    if line.tabular or not following.tabular or line.page != following.page:
        return False
    return line.text.endswith(HYPHEN) and following.text[:1].islower()


def _joined(label: Line, row: Line, hyphens: Hyphens) -> Line:
    first, *cells = row.cells
    before = label.text[:-1] + ("-" if hyphens.stays(label.text[:-1], row.text) else "")
    return replace(
        row,
        text=before + row.text,
        cells=(replace(first, text=before + first.text), *cells),
        left=min(label.left, row.left),
        top=max(label.top, row.top),
    )


def _column_names(group: Sequence[Line], above: Line | None) -> Line | None:
    """Return the line with the names of a table's columns: its first, or that of the page before.

    The first line has names if it has a word in each cell, and numbers stand below them.
    """
    first, rest = group[0], group[1:]
    width = len(first.cells)
    numbers = sum(any(cell.text[:1].isdigit() for cell in line.cells) for line in rest)
    if rest and all(WORD.search(cell.text) for cell in first.cells):
        alike = sum(len(line.cells) == width for line in rest)
        if min(alike, numbers) * 2 >= len(rest) and not _has_number(first):
            return first
    continued = above is not None and first.page == above.page + 1
    if above and continued and len(first.cells) == len(above.cells) and _aligned(above, group):
        return replace(above, page=first.page)
    return None


def _has_number(line: Line) -> bool:
    return any(cell.text.isdecimal() for cell in line.cells)


def _aligned(above: Line, group: Sequence[Line]) -> bool:
    """Whether most lines have as many cells as the names, and begin at the same place."""
    alike = (
        len(line.cells) == len(above.cells) and abs(line.left - above.left) < line.size
        for line in group
    )
    return sum(alike) * 2 >= len(group)


def _with_first_line(element: Element, text: str) -> Element:
    """Put a line above an element that stands on a page before."""
    moved = len(text) + 1
    lines = (replace(box, start=box.start + moved, end=box.end + moved) for box in element.lines)
    return replace(element, text=f"{text}\n{element.text}", lines=tuple(lines))


def _rejoined(before: Element, after: Element, hyphens: Hyphens) -> tuple[Element, Element]:
    """Put a word together that the end of a column or page cuts; all of it comes before."""
    prose = before.kind in ("text", "item") and after.kind == "text"
    if not prose or not before.text.endswith(HYPHEN) or " " not in after.text:
        return before, after
    end = after.text.index(" ")
    if not after.text[:1].islower() or not after.lines or end >= after.lines[0].end:
        return before, after
    hyphen = "-" if hyphens.stays(before.text[:-1], after.text) else ""
    text = before.text[:-1] + hyphen + after.text[:end]
    last = replace(before.lines[-1], end=len(text))
    moved = [
        replace(box, start=max(box.start - end - 1, 0), end=box.end - end - 1)
        for box in after.lines
    ]
    return (
        replace(before, text=text, lines=(*before.lines[:-1], last)),
        replace(after, text=after.text[end + 1 :], lines=tuple(moved)),
    )


def _without_marks(element: Element) -> Element:
    return replace(element, text=element.text.replace(HYPHEN, "-"))


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


def _element(group: Sequence[Line], kind: Kind, level: int, hyphens: Hyphens) -> Element:
    """Join wrapped lines with a space or at a hyphen, and keep real line breaks."""
    left = min(line.left for line in group)
    edge = left + (max(line.right for line in group) - left) * _RIGHT_EDGE
    rows = kind in ("lines", "table")
    text = ""
    boxes = []
    previous = group[0]
    for line in group:
        if text.endswith(HYPHEN) and not rows:
            text = text[:-1] + ("-" if hyphens.stays(text[:-1], line.text) else "")
        elif text:
            wrapped = kind == "heading" or (not rows and previous.right >= edge)
            text += " " if wrapped else "\n"
        start, previous = len(text), line
        text += line.text
        corners = (round(x, 1) for x in (line.left, line.bottom, line.right, line.top))
        boxes.append(LineBox(start, len(text), *corners))
    return Element(text, kind, level, group[0].page, tuple(boxes))
