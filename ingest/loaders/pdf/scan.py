"""Scanned pages: the pieces of text that OCR finds, put together to lines and elements."""

import ctypes
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pypdfium2
import pypdfium2.raw as pdfium

from twotower.ingest.elements import Element, Limits, LineBox
from twotower.ingest.loaders import ocr
from twotower.ingest.loaders.pdf.grouping import elements_of_lines
from twotower.ingest.loaders.pdf.layout import reading_order
from twotower.ingest.loaders.pdf.lines import HYPHEN, Cell, Line, cell_text, row_text

_RESOLUTION = 300 / 72  # pixels for a PDF point; 300 dpi is what tesseract's guide recommends
_MOST_PIXELS = 25_000_000  # of a page that is drawn, between A3 and A2 at 300 dpi
_CELL_GAP = 1.8  # em between two cells
_LARGER = 1.25  # height of a larger line as a multiple of the usual one
_STEP = 1.5  # between two sizes of larger lines
_SCAN = 0.5  # share of a page that a scan covers at least
_STAMP_CHARACTERS = 300  # of the text layer of a scan that has only a stamp, at most
_DRAWN = (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_SHADING)
_PAGES_SHOWN = 20  # in one warning


def needs_ocr(page: pypdfium2.PdfPage, lines: Sequence[Line], usable: bool) -> bool:
    """Whether a page shows text that is not in its text layer.

    Parameters
    ----------
    usable
        False where the letters of the page have no codes.
    """
    if not usable:
        return True
    if not lines:
        return next(page.get_objects(filter=_DRAWN, max_depth=5), None) is not None
    if sum(len(line.text) for line in lines) > _STAMP_CHARACTERS:
        return False
    width, height = page.get_size()
    return any(
        (right - left) * (top - bottom) > width * height * _SCAN
        for left, bottom, right, top in (
            picture.get_bounds()
            for picture in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=5)
        )
    )


def beside_scan(recognised: Sequence[Element], lines: Sequence[Line]) -> list[Element]:
    """Leave out what OCR found of the text layer, such as the stamp on a scan."""
    known = _letters(" ".join(line.text for line in lines))
    return [element for element in recognised if _letters(element.text) not in known]


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def read_page(page: pypdfium2.PdfPage, number: int, limits: Limits) -> tuple[list[Element], int]:
    """Recognise the text of a PDF page.

    Returns
    -------
    tuple
        Elements with the boxes of their lines, and the number of lines that were not read in full.
    """
    width, height = page.get_size()
    scale = min(_RESOLUTION, math.sqrt(_MOST_PIXELS / max(width * height, 1)))
    picture = page.render(scale=scale).to_pil().convert("RGB")
    recognised = ocr.recognise(picture, limits)
    turns = recognised.turns
    shown = picture.size[::-1] if turns % 2 else picture.size
    elements = [
        replace(element, lines=tuple(_on_page(page, shown, turns, box) for box in element.lines))
        for element in elements_of_pieces(recognised.pieces, number)
    ]
    return elements, recognised.unread


def elements_of_pieces(pieces: Sequence[ocr.Piece], number: int) -> Iterator[Element]:
    """Group pieces of text into headings, paragraphs, list items and table rows.

    The boxes of their lines are in pixels, with y upwards from 0 at the upper edge.
    """
    return elements_of_lines(reading_order(list(_lines(pieces, number))))


def pages_named(numbers: Sequence[int]) -> str:
    """List the numbers of pages for a warning."""
    shown = ", ".join(map(str, numbers[:_PAGES_SHOWN]))
    more = f" and {len(numbers) - _PAGES_SHOWN} more" if len(numbers) > _PAGES_SHOWN else ""
    return f"page{'s' if len(numbers) > 1 else ''} {shown}{more}"


def _lines(pieces: Sequence[ocr.Piece], number: int) -> Iterator[Line]:
    if not pieces:
        return
    usual = statistics.median(piece.bottom - piece.top for piece in pieces)
    for row in _rows(pieces):
        height = statistics.median(piece.bottom - piece.top for piece in row)
        cells = _cells(row, height)
        text = row_text(cells)
        if len(text) > 1 and text[-1] == "-" and text[-2].isalpha():
            text = text[:-1] + HYPHEN
        yield Line(
            text=text,
            left=cells[0].left,
            bottom=-max(piece.bottom for piece in row),
            right=max(cell.right for cell in cells),
            top=-min(piece.top for piece in row),
            size=_size(height, usual),
            weight=400,
            bold=False,
            cells=tuple(cells),
            page=number,
        )


def _rows(pieces: Sequence[ocr.Piece]) -> Iterator[list[ocr.Piece]]:
    """Divide pieces into rows from top to bottom, each from left to right."""
    row: list[ocr.Piece] = []
    for piece in sorted(pieces, key=lambda piece: piece.top + piece.bottom):
        if row and piece.top + piece.bottom > 2 * row[0].bottom - (row[0].bottom - row[0].top) / 2:
            yield sorted(row, key=lambda piece: piece.left)
            row = []
        row.append(piece)
    yield sorted(row, key=lambda piece: piece.left)


def _cells(row: Sequence[ocr.Piece], height: float) -> list[Cell]:
    cells: list[Cell] = []
    for piece in row:
        text = cell_text(piece.text)
        if cells and piece.left - cells[-1].right <= _CELL_GAP * height:
            last = cells[-1]
            cells[-1] = Cell(f"{last.text} {text}", last.left, max(last.right, piece.right))
        else:
            cells.append(Cell(text, piece.left, piece.right))
    return cells


def _size(height: float, usual: float) -> float:
    """Return a font size; the heights of lines of one size differ, as not every line has a "g"."""
    if height <= usual * _LARGER:
        return usual
    return usual * _STEP ** max(round(math.log(height / usual, _STEP)), 1)


def _on_page(page: pypdfium2.PdfPage, size: tuple[int, int], turns: int, box: LineBox) -> LineBox:
    """Convert a box from pixels to PDF points, whatever the page's rotation and crop box."""
    corners = (
        _point(page, size, turns, box.left, -box.bottom),
        _point(page, size, turns, box.right, -box.top),
    )
    (left, right), (bottom, top) = (sorted(ends) for ends in zip(*corners, strict=True))
    return replace(box, left=left, bottom=bottom, right=right, top=top)


def _point(
    page: pypdfium2.PdfPage, size: tuple[int, int], turns: int, x: float, y: float
) -> tuple[float, float]:
    across, down = ctypes.c_double(), ctypes.c_double()
    clockwise = -turns % 4
    pdfium.FPDF_DeviceToPage(page, 0, 0, *size, clockwise, round(x), round(y), across, down)
    return round(across.value, 1), round(down.value, 1)
