"""PDF by pdfium: lines with their fonts and places, grouped into headings, paragraphs and rows.

pdfium gives characters in content order and breaks them into lines; on a 106-page filing that took
0.3 s where `unstructured`'s own PDF partitioner took 28.7 s. It can abort the process on malformed
files, so this runs in a worker process (see `ingest.loaders.isolation`).
"""

import ctypes
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium

from ingest.elements import Element, Kind, Limits, LineBox, ParsedDocument
from ingest.loaders import ocr
from retrieval.errors import DocumentError

# All lengths are in PDF points, or in multiples of a line's font size ("em") where it says so.
_CELL_GAP = 1.8  # em between two characters that stand in different cells
_PARAGRAPH_GAP = 0.75  # em of white space above the first line of a new paragraph
_HEADING_SIZE = 1.12  # times the body's size
_HEADING_WORDS = 14
_BOLD_NAME = re.compile(r"bold|black|heavy|semib|demi", re.IGNORECASE)
_BOLDER = 1.25  # times the weight that most of the document has, where the name does not tell
_MARGIN = 0.09  # of the page's height, where running headers and footers stand
_FRONT_PAGES = 30  # pages before page 1 at the most, or missing from the file
_RIGHT_EDGE = 0.88  # of the column's width: a line that ends beyond it was wrapped
_FILLED = 0.55  # of a column's width: what a line of prose takes at the least
_HYPHEN = "\x02"  # our mark for a hyphen that ends a line; pdfium's are
_HYPHENS = (0x02, 0xFFFE)
_BULLETS = "•◦▪●‣·*–-"  # noqa: RUF001 - a dash that is not a hyphen is meant
_BULLET = re.compile(rf"^\s*([{_BULLETS}]|\(?\d{{1,2}}[.)]|\(?[a-z][.)])\s+")
_LABEL = re.compile(rf"([{_BULLETS}]|(\w+ )?\(?(\d{{1,2}}[A-Za-z]?|[a-z]|[ivx]+)[.)])$")
_WORD = re.compile(r"[^\W\d_]{2}")
_LEADERS = re.compile(r"(?:\s?\.){5,}")  # between an entry and its page number
# What producers write into the title: nothing, a number, or the name of the file they came from.
_NO_TITLE = re.compile(
    r"(?i)untitled|microsoft (word|excel|powerpoint) - |.*\.(docx?|indd|tex|pdf)$"
)
_CURRENCY = re.compile(r"([$€£¥]) \| (?=[\d(—-])")
_CURRENCY_CELL = re.compile(r"(?<=[\d)%—]) (?=[$€£¥] ?[\d(—])")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page, left to right, with its box (origin at the lower left corner)."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    size: float
    weight: int
    bold: bool
    cells: tuple["Cell", ...]
    page: int

    @property
    def tabular(self) -> bool:
        """Whether the line has cells that stand apart."""
        return len(self.cells) > 1


@dataclass(frozen=True, slots=True)
class Cell:
    """A stretch of a line without wide gaps."""

    text: str
    left: float
    right: float


def load_pdf(path: Path, limits: Limits) -> ParsedDocument:
    """Read a PDF's text layer.

    Raises
    ------
    DocumentError
        ``encrypted``, ``malformed``, ``too-large`` (more pages than the limit) or ``no-text``.
    """
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise DocumentError(
                "the PDF is encrypted: save a copy without its password", "encrypted"
            ) from error
        raise DocumentError(f"not a readable PDF ({error})", "malformed") from error
    with document:
        if len(document) > limits.max_pages:
            raise DocumentError(
                f"the PDF has {len(document)} pages, the limit is {limits.max_pages} "
                "(TWOTOWER_MAX_PAGES)",
                "too-large",
            )
        pages = [list(_lines(document[index], index + 1)) for index in range(len(document))]
        if not any(pages) and ocr.available():
            return _scanned(document)
        title = str(document.get_metadata_dict().get("Title", "")).strip()
    if not any(pages):
        raise DocumentError(f"the PDF has no text layer (a scan?): {ocr.REMEDY}", "no-text")
    lines = [line for page in _without_running_lines(pages) for line in _reading_order(page)]
    elements = tuple(_elements(lines))
    if not _WORD.search(title) or _NO_TITLE.match(title):
        title = _first_heading(elements)
    return ParsedDocument(title, elements, len(pages))


def _scanned(document: pypdfium2.PdfDocument) -> ParsedDocument:
    recognised = ocr.read_pages(document)
    if not recognised.elements:
        raise DocumentError("the PDF has no text layer, and no text was recognised", "no-text")
    return recognised


def _lines(page: pypdfium2.PdfPage, number: int) -> Iterator[Line]:
    height = page.get_height()
    if height <= 0:
        return
    text_page = page.get_textpage()
    start = 0
    codes = [pdfium.FPDFText_GetUnicode(text_page, i) for i in range(text_page.count_chars())]
    for index, code in enumerate([*codes, 10]):
        if code in (10, 13):
            if index > start and (line := _line(text_page, start, codes[start:index], number)):
                yield line
            start = index + 1


def _line(
    text_page: pypdfium2.PdfTextPage, start: int, codes: Sequence[int], page: int
) -> Line | None:
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    cells: list[Cell] = []
    text = ""
    begin = end = size = 0.0
    first, low, high = -1, 0.0, 0.0
    for index, code in enumerate(codes, start):
        character = _character(code)
        if character.isspace():
            text += " "
            continue
        pdfium.FPDFText_GetCharBox(text_page, index, left, right, bottom, top)
        if first < 0:
            first, size = index, _font_size(text_page, index)
            begin, low, high = left.value, bottom.value, top.value
        elif left.value - end > _CELL_GAP * size and (cells or not _LABEL.match(text.strip())):
            cells.append(Cell(_squeezed(text), begin, end))
            text, begin = "", left.value
        end = right.value
        low, high = min(low, bottom.value), max(high, top.value)
        text += _HYPHEN if code in _HYPHENS else character
    if first < 0:
        return None
    cells = [cell for cell in [*cells, Cell(_squeezed(text), begin, end)] if cell.text]
    return Line(
        text=_row(cells),
        left=min(cell.left for cell in cells),
        bottom=low,
        right=max(cell.right for cell in cells),
        top=high,
        size=size,
        weight=pdfium.FPDFText_GetFontWeight(text_page, first),
        bold=_named_bold(text_page, first),
        cells=tuple(cells),
        page=page,
    )


def _squeezed(text: str) -> str:
    return " ".join(_LEADERS.sub(" … ", text).split())


def _row(cells: Sequence[Cell]) -> str:
    """The cells of a line, with currency signs beside their amounts."""
    text = " | ".join(cell.text for cell in cells)
    return _CURRENCY_CELL.sub(" | ", _CURRENCY.sub(r"\1 ", text)) if len(cells) > 1 else text


def _character(code: int) -> str:
    """What a character code stands for; a space where it is no character, such as a surrogate."""
    try:
        return chr(code).encode("utf-8").decode("utf-8") if code else " "
    except (ValueError, OverflowError):
        return " "


def _named_bold(text_page: pypdfium2.PdfTextPage, index: int) -> bool:
    name = ctypes.create_string_buffer(128)
    flags = ctypes.c_int()
    pdfium.FPDFText_GetFontInfo(text_page, index, name, len(name), flags)
    return bool(_BOLD_NAME.search(name.value.decode("utf-8", "replace")))


def _font_size(text_page: pypdfium2.PdfTextPage, index: int) -> float:
    """The size as drawn: a font of size 1 under a scaling matrix counts with its scale."""
    matrix = pdfium.FS_MATRIX()
    size = float(pdfium.FPDFText_GetFontSize(text_page, index))
    if pdfium.FPDFText_GetMatrix(text_page, index, matrix):
        size *= max(abs(matrix.d), abs(matrix.b)) or 1.0
    return size


def _without_running_lines(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Drop what stands at the top or bottom of most pages, the page's number taken as equal.

    A page of which nothing would be left keeps all of it.
    """
    counts: Counter[str] = Counter()
    for page in pages:
        counts.update({_shape(line) for line in _marginal(page)})
    enough = max(2, len(pages) / 2)
    kept = []
    for page in pages:
        marginal = _marginal(page)
        rest = [x for x in page if not (counts[_shape(x)] >= enough and x in marginal)]
        kept.append(rest or list(page))
    return kept


def _shape(line: Line) -> str:
    """The text with the page's number marked: a number that differs from it by a few at most.

    Other numbers stay: an invoice's may stand at the top of every page, and is not its page's.
    """

    def marked(number: re.Match[str]) -> str:
        offset = int(number[0]) - line.page
        return f"#{offset}" if abs(offset) <= _FRONT_PAGES else number[0]

    return re.sub(r"(?<![\d.,])\d{1,4}(?![\d.,])", marked, line.text).lower()


def _marginal(page: Sequence[Line]) -> list[Line]:
    """Lines within a margin of the page's inked area."""
    if not page:
        return []
    low = min(line.bottom for line in page)
    high = max(line.top for line in page)
    band = (high - low) * _MARGIN
    return [line for line in page if line.bottom < low + band or line.top > high - band]


def _reading_order(page: list[Line]) -> list[Line]:
    """Put two columns one after the other, where a page has them; else keep the file's order."""
    page = _parted(page)
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


def _parted(page: list[Line]) -> list[Line]:
    """Part lines that run across two columns, where so many have a gap at the same place.

    Some producers draw a page line by line. What tells columns of prose from a table's is that
    both sides are filled: labels and numbers leave most of theirs white.
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
    """The x that separates two columns of prose, or None."""
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
            and _overlap(left, right)
            and (best is None or crossing < best[0])
        ):
            best = (crossing, x)
    return best[1] if best else None


def _overlap(left: Sequence[Line], right: Sequence[Line]) -> bool:
    """Whether two groups of lines stand side by side."""
    top = min(max(line.top for line in left), max(line.top for line in right))
    bottom = max(min(line.bottom for line in left), min(line.bottom for line in right))
    return top - bottom > 5 * left[0].size


@dataclass(frozen=True, slots=True)
class Body:
    """What most of a document's running text looks like: headings differ from it."""

    size: float
    weight: float


def _elements(lines: Sequence[Line]) -> Iterator[Element]:
    """Group lines into headings, paragraphs, list items and rows."""
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
        if group and _begins_new(group[-1], line, body):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _begins_new(previous: Line, line: Line, body: Body) -> bool:
    if line.page != previous.page or line.tabular != previous.tabular:
        return True
    gap = previous.bottom - line.top
    elsewhere = gap < -line.size  # further up: the next column, or another box
    if line.tabular:
        return gap > 3 * line.size or elsewhere
    if abs(line.size - previous.size) > 0.1 * body.size or _bold(line, body) != _bold(
        previous, body
    ):
        return True
    return gap > _PARAGRAPH_GAP * line.size or elsewhere or bool(_BULLET.match(line.text))


def _bold(line: Line, body: Body) -> bool:
    return line.bold or line.weight > body.weight * _BOLDER


def _is_heading(group: Sequence[Line], body: Body) -> bool:
    """A short paragraph of its own that is larger than the body, or bold where the body is not."""
    first = group[0]
    text = " ".join(line.text for line in group)
    if first.tabular or len(text.split()) > _HEADING_WORDS or not _WORD.search(text):
        return False
    if text[0] in _BULLETS:
        return False
    if first.size > body.size * _HEADING_SIZE:
        return True
    return _bold(first, body) and first.size > body.size * 0.9 and text[-1] not in ".,;"


def _element(group: Sequence[Line], kind: Kind, level: int = 0) -> Element:
    """Join wrapped lines by a space, mend hyphens, and keep the breaks that were meant."""
    left = min(line.left for line in group)
    edge = left + (max(line.right for line in group) - left) * _RIGHT_EDGE
    text = ""
    boxes = []
    previous = group[0]
    for line in group:
        if text.endswith(_HYPHEN):
            text = text[:-1]
        elif text:
            wrapped = kind == "heading" or (kind != "lines" and previous.right >= edge)
            text += " " if wrapped else "\n"
        start, previous = len(text), line
        text += line.text
        corners = (round(x, 1) for x in (line.left, line.bottom, line.right, line.top))
        boxes.append(LineBox(start, len(text), *corners))
    return Element(_plain(text), kind, level, group[0].page, tuple(boxes))


def _plain(text: str) -> str:
    return text.replace(_HYPHEN, "-")


def _first_heading(elements: Sequence[Element]) -> str:
    headings = [e for e in elements if e.kind == "heading" and e.page == 1]
    return min(headings, key=lambda e: e.level).text if headings else ""
