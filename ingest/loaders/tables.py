"""Delimited text and workbooks, cell by cell as they are written.

Not by `unstructured`: it guesses the delimiter from letters of the data, refuses ragged rows, and
its data frames turn `NA` into nothing and 4711 into 4711.0.
"""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime, time
from pathlib import Path
from typing import Any

from ingest.elements import Element, Limits, ParsedDocument
from ingest.loaders.text import read_text
from retrieval.errors import DocumentError

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLED = 50  # rows
_CELLS_MAX = 5_000_000


def load_delimited(path: Path, _limits: Limits) -> ParsedDocument:
    """Read comma- or tab-separated values, or their like."""
    text = read_text(path)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
    csv.field_size_limit(2**31 - 1)
    try:
        rows = [
            [" ".join(cell.split()) for cell in row]
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        ]
    except csv.Error as error:
        raise DocumentError(f"cannot be read as a table ({error})", "malformed") from error
    return ParsedDocument(path.stem, tuple(_elements(rows)))


def _delimiter(text: str) -> str:
    """The delimiter that gives most rows the same number of cells; a comma where none does."""

    def agreement(delimiter: str) -> float:
        rows = csv.reader(io.StringIO(text[:100_000], newline=""), delimiter=delimiter)
        widths = [len(row) for row, _ in zip(rows, range(_SAMPLED), strict=False) if row]
        usual = max(set(widths), key=widths.count, default=1)
        return widths.count(usual) / len(widths) if usual > 1 else 0.0

    return max(_DELIMITERS, key=agreement)


def load_workbook(path: Path, _limits: Limits) -> ParsedDocument:
    """Read an Excel workbook: a heading for each sheet, formulas by the values saved with them."""
    import openpyxl  # noqa: PLC0415 - keeps the start of every command short

    try:
        workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError) as error:
        raise DocumentError(f"not a valid workbook ({error})", "malformed") from error
    elements: list[Element] = []
    for sheet in workbook.worksheets:
        content = list(_elements(_rows(sheet)))
        if content:
            elements += [Element(sheet.title, "heading", 1), *content]
    workbook.close()
    return ParsedDocument(path.stem, tuple(elements))


def _rows(sheet: Any) -> Iterator[list[str]]:
    cells = 0
    for row in sheet.iter_rows(values_only=True):
        cells += len(row)
        if cells > _CELLS_MAX:
            raise DocumentError(f"a sheet has more than {_CELLS_MAX:,} cells", "too-large")
        yield [_cell(value) for value in row]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:  # noqa: PLR2004
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return " ".join(str(value).split())


def _elements(rows: Sequence[Sequence[str]] | Iterator[Sequence[str]]) -> Iterator[Element]:
    """Divide at empty rows: what is one column wide is text, what is wider a table."""
    block: list[list[str]] = []
    for row in [*rows, []]:
        filled = list(row)
        while filled and not filled[-1]:
            filled.pop()
        if filled:
            block.append(filled)
        elif block:
            yield from _block(block)
            block = []


def _block(block: Sequence[Sequence[str]]) -> Iterator[Element]:
    """A table, and before it the lines of one cell that introduce it."""
    first = next((n for n, row in enumerate(block) if sum(map(bool, row)) > 1), len(block))
    if first:
        yield Element("\n".join(" ".join(filter(None, row)) for row in block[:first]), "lines")
    if block[first:]:
        yield Element("\n".join(" | ".join(row) for row in block[first:]), "table")
