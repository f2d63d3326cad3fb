"""Lines of a PDF page from pdfium's characters, with their fonts, boxes and cells."""

import ctypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pypdfium2
import pypdfium2.raw as pdfium

from twotower.retrieval.vocabulary.text import normalised

# Lengths are in PDF points, or in em: multiples of the font size of a line.
_CELL_GAP = 1.8  # em between two characters of different cells
_BOLD_NAME = re.compile(r"bold|black|heavy|semib|demi", re.IGNORECASE)
HYPHEN = "\x02"  # our mark for a hyphen at the end of a line
_HYPHENS = (0x02, 0xFFFE)  # pdfium's marks for one
BULLETS = "•◦▪●‣·*–-"  # noqa: RUF001 - a dash that is not a hyphen is meant
_LABEL = re.compile(rf"([{BULLETS}]|(\w+ )?\(?(\d{{1,2}}[A-Za-z]?|[a-z]|[ivx]+)[.)])$")
WORD = re.compile(r"[^\W\d_]{2}")
_NO_LETTER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd]")
_MOST_UNUSABLE = 0.2  # share of a page's characters
_LEADERS = re.compile(r"(?:\s?\.){5,}")  # dots between an entry and its page number
_CURRENCY = re.compile(r"([$€£¥]) \| (?=[\d(—-])")
_CURRENCY_CELL = re.compile(r"(?<=[\d)%—]) (?=[$€£¥] ?[\d(—])")


@dataclass(frozen=True, slots=True)
class Cell:
    """A part of a line without wide gaps."""

    text: str
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page, from left to right, with its box (origin at the lower left corner)."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    size: float
    weight: int
    bold: bool
    cells: tuple[Cell, ...]
    page: int

    @property
    def tabular(self) -> bool:
        """Whether the line has more than one cell."""
        return len(self.cells) > 1


def is_usable(lines: Sequence[Line]) -> bool:
    """Whether the characters of a page stand for letters.

    Fonts without a mapping to characters give control characters, or those of private use.
    """
    text = "".join(line.text for line in lines).replace(" ", "")
    return len(_NO_LETTER.findall(text)) <= len(text) * _MOST_UNUSABLE


def page_lines(page: pypdfium2.PdfPage, number: int) -> Iterator[Line]:
    """Yield the lines of a page in content order."""
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
            cells.append(Cell(_without_leaders(text), begin, end))
            text, begin = "", left.value
        end = right.value
        low, high = min(low, bottom.value), max(high, top.value)
        text += HYPHEN if code in _HYPHENS else character
    if first < 0:
        return None
    cells = [cell for cell in [*cells, Cell(_without_leaders(text), begin, end)] if cell.text]
    return Line(
        text=_row(cells),
        left=min(cell.left for cell in cells),
        bottom=low,
        right=max(cell.right for cell in cells),
        top=high,
        size=size,
        weight=pdfium.FPDFText_GetFontWeight(text_page, first),
        bold=_has_bold_name(text_page, first),
        cells=tuple(cells),
        page=page,
    )


def _without_leaders(text: str) -> str:
    return " ".join(_LEADERS.sub(" … ", normalised(text)).split())


def _row(cells: Sequence[Cell]) -> str:
    """Join the cells of a line; a currency sign stays with its amount."""
    text = " | ".join(cell.text for cell in cells)
    return _CURRENCY_CELL.sub(" | ", _CURRENCY.sub(r"\1 ", text)) if len(cells) > 1 else text


def _character(code: int) -> str:
    """Return the character of a code, or a space if it is none, such as a surrogate."""
    try:
        return chr(code).encode("utf-8").decode("utf-8") if code else " "
    except (ValueError, OverflowError):
        return " "


def _has_bold_name(text_page: pypdfium2.PdfTextPage, index: int) -> bool:
    name = ctypes.create_string_buffer(128)
    flags = ctypes.c_int()
    pdfium.FPDFText_GetFontInfo(text_page, index, name, len(name), flags)
    return bool(_BOLD_NAME.search(name.value.decode("utf-8", "replace")))


def _font_size(text_page: pypdfium2.PdfTextPage, index: int) -> float:
    """Return the font size as drawn: a font of size 1 can be scaled up by its matrix."""
    matrix = pdfium.FS_MATRIX()
    size = float(pdfium.FPDFText_GetFontSize(text_page, index))
    if pdfium.FPDFText_GetMatrix(text_page, index, matrix):
        size *= max(abs(matrix.d), abs(matrix.b)) or 1.0
    return size
