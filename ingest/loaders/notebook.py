"""Jupyter notebooks, format 3 and 4: notes, code and the text of its outputs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.markup import page_elements, read_markdown
from twotower.ingest.loaders.text import read_text
from twotower.ingest.loaders.unstructured import parsed
from twotower.retrieval.vocabulary.errors import DocumentError

_COLOURS = re.compile(r"\x1b\[[\d;]*[A-Za-z]")


def load_notebook(path: Path, _limits: Limits) -> ParsedDocument:
    """Read a notebook; its pictures are not text.

    Raises
    ------
    DocumentError
        ``malformed`` if the file is not a notebook.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"the file is not a notebook ({error})", "malformed") from error
    if not isinstance(content, dict) or not isinstance(content.get("nbformat"), int):
        raise DocumentError("the file is not a notebook: it has no nbformat", "malformed")
    metadata = content.get("metadata")
    title = metadata.get("title") if isinstance(metadata, dict) else None
    return parsed(title if isinstance(title, str) else "", _cells(content))


def _cells(content: dict[str, Any]) -> Iterator[Element]:
    sheets = [content, *_objects(content.get("worksheets"))]  # format 3 has worksheets
    for cell in (cell for sheet in sheets for cell in _objects(sheet.get("cells"))):
        source = _text(cell.get("source", cell.get("input")))
        kind = cell.get("cell_type")
        if kind == "markdown":
            yield from _markdown(source)
        elif kind == "heading":  # of format 3
            level = cell.get("level")
            yield Element(source, "heading", level if isinstance(level, int) else 1)
        elif kind == "html":
            yield from page_elements(source)
        else:
            yield from _lines(source)
            for output in _objects(cell.get("outputs")):
                yield from _output(output)


def _output(output: dict[str, Any]) -> Iterator[Element]:
    """Yield an output as it is shown: a page comes before Markdown and plain text."""
    data = output.get("data", output)  # format 3 has the types beside the other keys
    data = data if isinstance(data, dict) else {}
    elements = page_elements(_text(data.get("text/html", data.get("html"))))
    if not elements:
        elements = tuple(_markdown(_text(data.get("text/markdown"))))
    yield from elements
    plain = (data.get(key) for key in ("text/plain", "text", "text/latex", "latex"))
    if not elements and (text := next(filter(None, map(_text, plain)), "")):
        yield from _lines(text)
    yield from _lines("\n".join(_strings(output.get("traceback"))))


def _markdown(text: str) -> Iterator[Element]:
    document = read_markdown(text)
    yield from _lines(document.front_matter)
    yield from document.elements


def _lines(text: str) -> Iterator[Element]:
    text = _COLOURS.sub("", text).strip("\n")
    if text.strip():
        yield Element(text, "lines")


def _text(value: Any) -> str:
    """Return a text, which may be stored as a list of lines."""
    return value if isinstance(value, str) else "".join(_strings(value))


def _strings(value: Any) -> list[str]:
    found = value if isinstance(value, list) else []
    return [item for item in found if isinstance(item, str)]


def _objects(value: Any) -> list[dict[str, Any]]:
    found = value if isinstance(value, list) else []
    return [item for item in found if isinstance(item, dict)]
