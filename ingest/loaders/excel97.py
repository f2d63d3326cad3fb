"""Workbooks of Excel 97 to 2003, cell by cell as their sheets show them."""

from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Any

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.number_formats import shown
from twotower.ingest.loaders.tables import filled, rows_to_elements
from twotower.retrieval.vocabulary.errors import DocumentError


def load_xls(path: Path, _limits: Limits) -> ParsedDocument:
    """Read a workbook: each sheet gets a heading, its notes come after its rows.

    Raises
    ------
    DocumentError
        ``encrypted`` or ``malformed``.
    """
    import xlrd

    try:
        book = xlrd.open_workbook(path, formatting_info=True, logfile=_Nothing())
    except MemoryError:
        raise
    except Exception as error:  # xlrd raises all that a damaged file can lead to
        if "encrypted" in str(error).lower():
            raise DocumentError(
                "the file is encrypted: save a copy without a password", "encrypted"
            ) from error
        raise DocumentError(f"the file is not a valid workbook ({error})", "malformed") from error
    elements: list[Element] = []
    for sheet in book.sheets():
        merged = [
            (top, bottom - 1, left, right - 1) for top, bottom, left, right in sheet.merged_cells
        ]
        rows = list(rows_to_elements(filled(_rows(book, sheet), merged)))
        notes = [" ".join(note.text.split()) for note in sheet.cell_note_map.values()]
        if rows or notes:
            elements += [Element(sheet.name, "heading", 1), *rows]
            elements += [Element(note, "note") for note in notes if note]
    return ParsedDocument(path.stem, tuple(elements))


class _Nothing:
    """A file that keeps nothing: xlrd writes its complaints to one."""

    def write(self, text: str) -> None:
        """Forget a text."""


def _rows(book: Any, sheet: Any) -> Iterator[list[str]]:
    for number in range(sheet.nrows):
        yield [_cell(book, cell) for cell in sheet.row(number)]


def _cell(book: Any, cell: Any) -> str:
    import xlrd

    if cell.ctype in (xlrd.XL_CELL_EMPTY, xlrd.XL_CELL_BLANK):
        return ""
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, "#ERROR!"))
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return shown(bool(cell.value), None)
    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            moment = xlrd.xldate_as_datetime(cell.value, book.datemode)
        except (ValueError, OverflowError):
            return shown(cell.value, None)
        is_time = 0 <= cell.value < 1 and moment.time() != time()
        return shown(moment.time() if is_time else moment, None)
    return shown(cell.value, _format_of(book, cell))


def _format_of(book: Any, cell: Any) -> str:
    """Return the number format of a cell; the general one if it is damaged."""
    try:
        return str(book.format_map[book.xf_list[cell.xf_index].format_key].format_str)
    except (LookupError, TypeError):
        return ""
