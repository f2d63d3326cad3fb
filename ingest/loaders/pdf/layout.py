"""Page layout of PDFs: read columns one after another."""

from collections.abc import Sequence
from dataclasses import replace

from twotower.ingest.loaders.pdf.lines import Line

_FILLED = 0.55  # minimum share of a column's width that a line of prose fills


def reading_order(page: list[Line]) -> list[Line]:
    """Put two columns one after the other if a page has them; else keep the order of the file."""
    page = _split_across_columns(page)
    gutter = _gutter(page)
    if gutter is None:
        return page
    ordered: list[Line] = []
    left: list[Line] = []
    right: list[Line] = []
    for line in sorted(page, key=lambda line: -line.top):
        if line.right <= gutter:
            left.append(line)
        elif line.left >= gutter:
            right.append(line)
        else:
            ordered += [*left, *right, line]
            left, right = [], []
    return [*ordered, *left, *right]


def _split_across_columns(page: list[Line]) -> list[Line]:
    """Split lines that run across two columns, if enough of them have a gap at the same position.

    Some producers draw a page line by line. In columns of prose the text fills both sides; in a
    table, labels and numbers leave most of their cells white.
    """
    pairs = [line for line in page if len(line.cells) == 2]  # noqa: PLR2004 - left and right
    if len(pairs) < 8:  # noqa: PLR2004 - fewer make no column
        return page
    low, high = min(line.left for line in page), max(line.right for line in page)
    gutter = sorted((line.cells[0].right + line.cells[1].left) / 2 for line in pairs)[
        len(pairs) // 2
    ]
    half = (high - low) / 2
    across = [
        line
        for line in pairs
        if line.cells[0].right < gutter < line.cells[1].left
        and all(cell.right - cell.left > half * _FILLED for cell in line.cells)
    ]
    if len(across) < max(8, len(page) * 0.4):
        return page
    return [part for line in page for part in (_halves(line) if line in across else [line])]


def _halves(line: Line) -> list[Line]:
    return [
        replace(line, text=cell.text, left=cell.left, right=cell.right, cells=(cell,))
        for cell in line.cells
    ]


def _gutter(page: Sequence[Line]) -> float | None:
    """Return the x position between two columns of prose, or None."""
    prose = [line for line in page if not line.tabular]
    if len(prose) < 12:  # noqa: PLR2004 - fewer lines make no columns
        return None
    low = min(line.left for line in prose)
    high = max(line.right for line in prose)
    best: tuple[int, float] | None = None
    for step in range(35, 66):
        x = low + (high - low) * step / 100
        left = [line for line in prose if line.right <= x]
        right = [line for line in prose if line.left >= x]
        crossing = len(prose) - len(left) - len(right)
        wide = [line for line in [*left, *right] if line.right - line.left > (high - low) * 0.3]
        if (
            min(len(left), len(right)) >= len(prose) * 0.2
            and crossing <= len(prose) * 0.3
            and len(wide) >= len(prose) * 0.35
            and _side_by_side(left, right)
            and (best is None or crossing < best[0])
        ):
            best = (crossing, x)
    return best[1] if best else None


def _side_by_side(left: Sequence[Line], right: Sequence[Line]) -> bool:
    """Whether two groups of lines overlap in height by more than five lines."""
    top = min(max(line.top for line in left), max(line.top for line in right))
    bottom = max(min(line.bottom for line in left), min(line.bottom for line in right))
    return top - bottom > 5 * left[0].size
