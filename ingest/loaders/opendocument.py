"""OpenDocument texts, sheets and slides, from their `content.xml` (OASIS OpenDocument 1.3)."""

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.tables import filled, rows_to_elements
from twotower.ingest.loaders.unstructured import parsed
from twotower.retrieval.vocabulary.errors import DocumentError

_NS = "{urn:oasis:names:tc:opendocument:xmlns:"
_TEXT, _TABLE, _DRAW = f"{_NS}text:1.0}}", f"{_NS}table:1.0}}", f"{_NS}drawing:1.0}}"
_OFFICE, _SVG = f"{_NS}office:1.0}}", f"{_NS}svg-compatible:1.0}}"
_PRESENTATION = f"{_NS}presentation:1.0}}"
_ASIDE = frozenset({f"{_TEXT}note", f"{_OFFICE}annotation"})
_DROPPED = frozenset({f"{_TEXT}tracked-changes", f"{_OFFICE}forms", f"{_TEXT}note-citation"})
_DESCRIPTIONS = frozenset({f"{_SVG}title", f"{_SVG}desc"})
_MARGINS = ("header", "footer")
_MOST_REPEATED = 1000  # of one cell or row; sheets repeat empty ones to the end of the sheet


def load_odt(path: Path, _limits: Limits) -> ParsedDocument:
    """Read a text; its notes, comments, headers and footers come in the end."""
    body, margins = _opened(path)
    elements = list(_blocks(body))
    notes = [Element(text, "note") for text in dict.fromkeys([*_notes(body), *margins]) if text]
    return parsed("", iter((*elements, *notes)))


def load_ods(path: Path, _limits: Limits) -> ParsedDocument:
    """Read the sheets: each gets a heading; cells are as the sheet shows them."""
    body, margins = _opened(path)
    elements: list[Element] = []
    for sheet in body.iter(f"{_TABLE}table"):
        rows = list(rows_to_elements(filled(_rows(sheet), [])))
        if rows:
            elements += [Element(sheet.get(f"{_TABLE}name") or "Sheet", "heading", 1), *rows]
    shapes = [text for page in body.iter(f"{_TABLE}shapes") for text in _paragraphs(page)]
    notes = dict.fromkeys([*_notes(body), *shapes, *margins])
    elements += [Element(text, "note") for text in notes if text]
    return ParsedDocument(path.stem, tuple(elements))


def load_odp(path: Path, _limits: Limits) -> ParsedDocument:
    """Read slides, each with its notes: one page each."""
    body, _ = _opened(path)
    elements: list[Element] = []
    for number, slide in enumerate(body.iter(f"{_DRAW}page"), start=1):
        notes = [*slide.iterchildren(f"{_PRESENTATION}notes")]
        for note in notes:
            slide.remove(note)
        own = [replace(element, page=number) for element in _blocks(slide)]
        own += [Element(text, "text", 0, number) for text in _notes(slide)]
        for note in notes:
            own += [Element(text, "text", 0, number) for text in _paragraphs(note)]
        if own and own[0].kind == "text":
            own[0] = replace(own[0], kind="heading", level=1)  # the title
        elements += own
    return parsed("", iter(elements))


def _opened(path: Path) -> tuple[Any, list[str]]:
    """Return the body of a document, and the texts of its headers and footers.

    Raises
    ------
    DocumentError
        ``encrypted`` or ``malformed``.
    """
    from lxml import etree

    parser = etree.XMLParser(recover=True, huge_tree=True, resolve_entities=False, no_network=True)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read(
                "META-INF/manifest.xml"
            ):
                raise DocumentError(
                    "the file is encrypted: save a copy without a password", "encrypted"
                )
            content = etree.fromstring(archive.read("content.xml"), parser)
            styles = archive.read("styles.xml") if "styles.xml" in names else b""
    except (zipfile.BadZipFile, KeyError, OSError, EOFError, ValueError, RuntimeError) as error:
        raise DocumentError(
            f"the file is not a valid OpenDocument ({error})", "malformed"
        ) from error
    body = content.find(f"{_OFFICE}body") if content is not None else None
    if body is None:
        raise DocumentError("the file is not a valid OpenDocument (no body)", "malformed")
    for node in [*body.iter(*_DROPPED)]:
        _remove(node)
    margins: list[str] = []
    root = etree.fromstring(styles, parser) if styles.strip() else None
    if root is not None:
        for node in root.iter():
            if isinstance(node.tag, str) and node.tag.rpartition("}")[2].startswith(_MARGINS):
                margins += _paragraphs(node)
    return body, margins


def _remove(node: Any) -> None:
    """Remove a node, and keep the text behind it."""
    above, before = node.getparent(), node.getprevious()
    if node.tail and before is not None:
        before.tail = (before.tail or "") + node.tail
    elif node.tail:
        above.text = (above.text or "") + node.tail
    above.remove(node)


def _blocks(root: Any) -> Iterator[Element]:
    """Yield headings, paragraphs, list items, tables and descriptions below a node, in order."""
    for node in root:
        if not isinstance(node.tag, str) or node.tag in _ASIDE:
            continue
        if node.tag == f"{_TEXT}h":
            level = node.get(f"{_TEXT}outline-level") or "1"
            yield from _element(node, "heading", int(level) if level.isdigit() else 1)
        elif node.tag == f"{_TEXT}p":
            yield from _element(node, "text", 0)
        elif node.tag == f"{_TEXT}list-item":
            below = list(_blocks(node))
            for number, element in enumerate(below):
                first = number == 0 and element.kind == "text"
                yield replace(element, text=f"- {element.text}", kind="item") if first else element
        elif node.tag == f"{_TABLE}table":
            yield from rows_to_elements(filled(_rows(node), []))
        elif node.tag in _DESCRIPTIONS:
            yield from _element(node, "text", 0)
        else:
            yield from _blocks(node)


def _element(node: Any, kind: Any, level: int) -> Iterator[Element]:
    boxes = [*node.iter(f"{_DRAW}frame", f"{_DRAW}custom-shape", f"{_DRAW}g")]
    if text := _line(node):
        yield Element(text, kind, level)
    for box in boxes:  # anchored in the paragraph
        yield from _blocks(box)


def _line(node: Any) -> str:
    return " ".join("".join(_parts(node)).split())


def _parts(node: Any) -> Iterator[str]:
    """Yield the text of a paragraph, without its notes, comments and boxes."""
    yield node.text or ""
    for below in node:
        name = below.tag if isinstance(below.tag, str) else ""
        if name in (f"{_TEXT}s", f"{_TEXT}tab", f"{_TEXT}line-break"):
            yield " "
        elif (name not in _ASIDE and not name.startswith(_DRAW)) or name == f"{_DRAW}a":
            yield from _parts(below)
        yield below.tail or ""


def _notes(root: Any) -> Iterator[str]:
    """Yield the texts of footnotes, endnotes and comments."""
    for note in root.iter(*_ASIDE):
        yield " ".join(_paragraphs(note))


def _paragraphs(root: Any) -> Iterator[str]:
    for node in root.iter(f"{_TEXT}p", f"{_TEXT}h"):
        if text := _line(node):
            yield text


def _rows(table: Any) -> Iterator[list[str]]:
    """Yield the cells of each row; a merged cell has its value in each of its cells."""
    above: dict[int, tuple[int, str]] = {}
    for row in table.iter(f"{_TABLE}table-row"):
        if next(row.iterancestors(f"{_TABLE}table")) is not table:
            continue
        cells: list[str] = []
        for cell in row.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            times = _number(cell, "number-columns-repeated")
            text = " ".join(_paragraphs_of_cell(cell))
            high = _number(cell, "number-rows-spanned")
            wide = _number(cell, "number-columns-spanned")
            if text and high > 1:
                above |= dict.fromkeys(range(len(cells), len(cells) + wide), (high, text))
            for _ in range(times):
                left, value = above.get(len(cells), (0, ""))
                above[len(cells)] = (max(left - 1, 0), value)
                cells.append(text or (value if left else ""))
        for _ in range(_number(row, "number-rows-repeated") if any(cells) else 1):
            yield list(cells)


def _paragraphs_of_cell(cell: Any) -> Iterator[str]:
    for node in cell.iter(f"{_TEXT}p", f"{_TEXT}h"):
        if not any(above.tag in _ASIDE for above in node.iterancestors()) and (text := _line(node)):
            yield text


def _number(node: Any, name: str) -> int:
    value = node.get(f"{_TABLE}{name}") or "1"
    return min(int(value), _MOST_REPEATED) if value.isdigit() else 1
