"""Formats that `unstructured` reads well without preparation."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.text import read_text
from twotower.ingest.loaders.unstructured import Headings, elements_of, parsed, partition


def load_text(path: Path, _limits: Limits) -> ParsedDocument:
    """Read plain text; short lines that look like headings become headings."""
    return _read_text(path, "guessed")


def load_json(path: Path, _limits: Limits) -> ParsedDocument:
    """Read JSON as one line for each value, with the keys that lead to it.

    What is not valid JSON is read as plain text without headings.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError):
        return _read_text(path, "none")
    lines = "\n".join(json_lines(content))
    return ParsedDocument("", (Element(lines, "lines"),) if lines else ())


def json_lines(content: Any) -> Iterator[str]:
    """Yield ``key.key: value`` for each value; the values of a list have no number."""
    todo: list[tuple[str, Any]] = [("", content)]
    while todo:
        keys, value = todo.pop()
        if isinstance(value, dict):
            below = [(f"{keys}.{key}" if keys else str(key), one) for key, one in value.items()]
            todo += reversed(below)
        elif isinstance(value, list):
            todo += [(keys, one) for one in reversed(value)]
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"{keys}: {text}" if keys else text


def _read_text(path: Path, headings: Headings) -> ParsedDocument:
    from unstructured.partition.text import partition_text

    text = read_text(path)
    partitions = partition(partition_text, text=text) if text.strip() else []
    return parsed("", elements_of(partitions, headings))


def load_xls(path: Path, _limits: Limits) -> ParsedDocument:
    """Read a workbook of Excel 97 to 2003."""
    from unstructured.partition.xlsx import partition_xlsx

    return parsed("", elements_of(partition(partition_xlsx, filename=str(path)), "none"))


def load_epub(path: Path, _limits: Limits) -> ParsedDocument:
    """Read an e-book."""
    from unstructured.partition.epub import partition_epub

    return parsed("", elements_of(partition(partition_epub, filename=str(path)), "marked"))


def load_odt(path: Path, _limits: Limits) -> ParsedDocument:
    """Read an OpenDocument text."""
    from unstructured.partition.odt import partition_odt

    return parsed("", elements_of(partition(partition_odt, filename=str(path)), "guessed"))


def load_rtf(path: Path, _limits: Limits) -> ParsedDocument:
    """Read rich text."""
    from unstructured.partition.rtf import partition_rtf

    return parsed("", elements_of(partition(partition_rtf, filename=str(path)), "marked"))


def load_rst(path: Path, _limits: Limits) -> ParsedDocument:
    """Read reStructuredText."""
    from unstructured.partition.rst import partition_rst

    return parsed("", elements_of(partition(partition_rst, filename=str(path)), "marked"))


def load_org(path: Path, _limits: Limits) -> ParsedDocument:
    """Read Org mode; the title is a keyword that the partitioner leaves out of the text."""
    from unstructured.partition.org import partition_org

    document = parsed("", elements_of(partition(partition_org, filename=str(path)), "marked"))
    title = re.search(r"^#\+title:[ \t]*(.+)$", read_text(path), re.MULTILINE | re.IGNORECASE)
    return replace(document, title=title[1].strip()) if title else document
