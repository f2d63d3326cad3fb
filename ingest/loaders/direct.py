"""Formats that `unstructured` reads well without preparation."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.plain import elements_of_text
from twotower.ingest.loaders.text import read_text
from twotower.ingest.loaders.unstructured import parsed


def load_text(path: Path, _limits: Limits) -> ParsedDocument:
    """Read plain text; short lines that look like headings become headings."""
    return parsed("", elements_of_text(read_text(path)))


def load_json(path: Path, _limits: Limits) -> ParsedDocument:
    """Read JSON as one line for each value, with the keys that lead to it.

    What is not valid JSON is read as plain text without headings.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return ParsedDocument("", tuple(elements_of_text(text, headings=False)))
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
