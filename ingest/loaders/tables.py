"""Delimited text and workbooks, cell by cell as they are written.

`unstructured` does not read them: it guesses the delimiter from letters of the data, refuses rows
of different lengths, and its data frames drop `NA` and turn 4711 into 4711.0.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.number_formats import shown
from twotower.ingest.loaders.ooxml import package
from twotower.ingest.loaders.ooxml_text import completed, rescued
from twotower.ingest.loaders.text import read_text
from twotower.retrieval.vocabulary.errors import DocumentError

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLED = 50  # rows
_CELLS_MAX = 5_000_000
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z0-9:]+)"')
_MERGED_MAX = 10_000
_UNSAVED = re.compile(
    rb"<(?:\w+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:\w+:)?f>)\s*(?:<(?:\w+:)?v\s*(?:/>|></(?:\w+:)?v>))?\s*</(?:\w+:)?c>"
)
_STYLES = (
    '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><numFmts>{}'
    "</numFmts><fonts><font/></fonts><fills><fill><patternFill/></fill></fills><borders><border/></borders>"
    "<cellStyleXfs><xf/></cellStyleXfs><cellXfs>{}</cellXfs>"
    '<cellStyles><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)


def load_delimited(path: Path, _limits: Limits) -> ParsedDocument:
    """Read comma-separated, tab-separated or similar values."""
    text = read_text(path)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
    csv.field_size_limit(2**31 - 1)
    try:
        rows = [
            [" ".join(cell.split()) for cell in row]
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        ]
    except csv.Error as error:
        raise DocumentError(f"the file cannot be read as a table ({error})", "malformed") from error
    return ParsedDocument(path.stem, tuple(rows_to_elements(rows)))


def _delimiter(text: str) -> str:
    """Return the delimiter that gives most rows the same number of cells; by default a comma."""

    def agreement(delimiter: str) -> float:
        rows = csv.reader(io.StringIO(text[:100_000], newline=""), delimiter=delimiter)
        widths = [len(row) for row, _ in zip(rows, range(_SAMPLED), strict=False) if row]
        usual = max(set(widths), key=widths.count, default=1)
        return widths.count(usual) / len(widths) if usual > 1 else 0.0

    return max(_DELIMITERS, key=agreement)


def load_workbook(path: Path, limits: Limits) -> ParsedDocument:
    """Read an Excel workbook: each sheet gets a heading, each formula is its saved value.

    Cells are read as the sheet shows them, and a merged cell has its value in each of its cells.
    """
    content = package(path)
    try:
        document = _read_workbook(content.stream())
    except (DocumentError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - openpyxl refuses much of what other programs write as styles
        try:
            document = _read_workbook(_with_plain_styles(content.stream()))
        except Exception as error:  # noqa: BLE001 - and other parts
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            document = rescued(content, reason)
    return completed(replace(document, title=path.stem), content, limits)


def _read_workbook(content: io.BytesIO) -> ParsedDocument:
    import openpyxl

    workbook = openpyxl.load_workbook(content, read_only=True, data_only=True)
    elements: list[Element] = []
    warnings = []
    with zipfile.ZipFile(content) as archive:
        for sheet in workbook.worksheets:
            sheet.reset_dimensions()  # many programs write a size that is wrong
            source = archive.read(sheet._worksheet_path)  # noqa: SLF001 - read-only sheets lack this
            rows = list(rows_to_elements(filled(_rows(sheet), _merged(source))))
            if rows:
                elements += [Element(sheet.title, "heading", 1), *rows]
            if unsaved := len(_UNSAVED.findall(source)):
                warnings.append(f"sheet {sheet.title}: {unsaved} formulas without a saved value")
    workbook.close()
    return ParsedDocument("", tuple(elements), warnings=tuple(warnings))


def _with_plain_styles(content: io.BytesIO) -> io.BytesIO:
    """Copy a workbook with number formats alone as its styles: others do not change the text."""
    copied = io.BytesIO()
    with zipfile.ZipFile(content) as archive, zipfile.ZipFile(copied, "w") as copy:
        for entry in archive.infolist():
            part = archive.read(entry)
            is_styles = entry.filename.endswith("styles.xml")
            copy.writestr(entry.filename, _plain_styles(part) if is_styles else part)
    return copied


def _plain_styles(part: bytes) -> bytes:
    from lxml import etree

    root = etree.fromstring(part, etree.XMLParser(recover=True, resolve_entities=False))
    formats = []
    cells = []
    for node in root.iter() if root is not None else ():
        name = node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""
        number = node.get("numFmtId") or "0"
        if not number.isdigit():
            number = "0"
        if name == "numFmt" and (code := node.get("formatCode")):
            formats.append(f'<numFmt numFmtId="{number}" formatCode={quoteattr(code)}/>')
        elif name == "xf" and node.getparent().tag.endswith("cellXfs"):
            cells.append(f'<xf numFmtId="{number}"/>')
    return _STYLES.format("".join(formats), "".join(cells) or "<xf/>").encode()


def _rows(sheet: Any) -> Iterator[list[str]]:
    cells = 0
    for row in sheet.iter_rows():
        cells += len(row)
        if cells > _CELLS_MAX:
            raise DocumentError(
                f"a sheet of the workbook has more than {_CELLS_MAX:,} cells", "too-large"
            )
        yield [shown(cell.value, getattr(cell, "number_format", None)) for cell in row]


def _merged(sheet: bytes) -> list[tuple[int, int, int, int]]:
    """List the merged ranges of a sheet: first and last row, first and last column, from 0."""
    from openpyxl.utils import range_boundaries

    ranges = []
    for match in _MERGED.finditer(sheet):
        left, top, right, bottom = range_boundaries(match[1].decode("ascii", "replace"))
        ranges.append((top - 1, bottom - 1, left - 1, right - 1))
    return ranges[:_MERGED_MAX]


def filled(
    rows: Iterator[list[str]], merged: Sequence[tuple[int, int, int, int]]
) -> Iterator[list[str]]:
    """Write the value of each merged cell into the rows below and the columns beside it.

    A cell over a whole row is a title and is not repeated.
    """
    starts: dict[int, list[tuple[int, int, int]]] = {}
    for top, bottom, left, right in merged:
        starts.setdefault(top, []).append((bottom, left, right))
    open_: list[tuple[int, int, int, str]] = []
    for number, row in enumerate(rows):
        own = sum(map(bool, row))
        for bottom, left, right in starts.get(number, ()):
            if left < len(row) and row[left]:
                last = min(right, len(row) - 1) if own > 1 else left
                open_.append((bottom, left, last, row[left]))
        open_ = [cell for cell in open_ if cell[0] >= number]
        for _, left, right, text in open_:
            for column in range(left, min(right, len(row) - 1) + 1):
                row[column] = row[column] or text
        yield row


def rows_to_elements(rows: Sequence[Sequence[str]] | Iterator[Sequence[str]]) -> Iterator[Element]:
    """Divide at empty rows; a block of one column becomes text, a wider one a table."""
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
    """Yield the lines of one cell that introduce a table, then the table."""
    first = next((n for n, row in enumerate(block) if sum(map(bool, row)) > 1), len(block))
    if first:
        yield Element("\n".join(" ".join(filter(None, row)) for row in block[:first]), "lines")
    if block[first:]:
        yield Element("\n".join(" | ".join(row) for row in block[first:]), "table")
