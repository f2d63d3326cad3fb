"""Source code, configuration and records: lines of text, cut where their parts begin."""

import ast
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.direct import json_lines
from twotower.ingest.loaders.text import read_text

_SECTION = re.compile(r"\[([^\[\]\n]+)\]\s*(?:[;#].*)?")
_ESCAPE = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
_LONG = 60  # lines of a block that is cut again, between its members
_DEEPEST = 4  # cuts inside one another

_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def load_source(path: Path, _limits: Limits) -> ParsedDocument:
    """Read text of any language as blocks, each from a line without indent after an empty line.

    A comment stays with the function below it, and a long class is cut between its members.
    Parsers of all these languages (``tree-sitter-language-pack``) would take 190 MB.
    """
    return ParsedDocument("", tuple(_blocks(read_text(path).split("\n"))))


def load_python(path: Path, limits: Limits) -> ParsedDocument:
    """Read Python with its classes and functions as headings; code with errors, as any language."""
    text = read_text(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # about invalid escape sequences
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return load_source(path, limits)
    lines = text.split("\n")
    elements: list[Element] = []
    position = 0
    for node, level in _definitions(tree.body, 1):
        begin = _first_line(node, lines, position)
        elements += _blocks(lines[position:begin])
        elements.append(Element(node.name, "heading", level))
        position = begin
    elements += _blocks(lines[position:])
    return ParsedDocument("", tuple(elements))


def _definitions(body: Sequence[ast.stmt], level: int) -> Iterator[tuple[_Definition, int]]:
    """Yield the classes and functions of a module, and those of its classes, with their level."""
    for node in body:
        if isinstance(node, _Definition):
            yield node, level
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, level + 1)


def _first_line(node: _Definition, lines: Sequence[str], earliest: int) -> int:
    """Return the index of the first decorator or of the comments directly above it."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
    while first > earliest and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return max(first, earliest)


def _blocks(lines: Sequence[str], indent: int = -1, depth: int = 0) -> Iterator[Element]:
    """Yield blocks that begin, after an empty line, at the smallest indent above ``indent``."""
    smallest = min(
        (i for line in lines if line.strip() and (i := _indent(line)) > indent), default=-1
    )
    if smallest < 0 or depth == _DEEPEST or (depth and len(lines) <= _LONG):
        text = "\n".join(line.rstrip() for line in lines).strip("\n")
        if text:
            yield Element(text, "lines")
        return
    begin = 0
    for number in range(1, len(lines)):
        starts = lines[number].strip() and _indent(lines[number]) <= smallest
        if starts and not lines[number - 1].strip():
            yield from _blocks(lines[begin:number], smallest, depth + 1)
            begin = number
    yield from _blocks(lines[begin:], smallest, depth + 1)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def load_config(path: Path, _limits: Limits) -> ParsedDocument:
    """Read a file of settings with its sections, such as ``[server]``, as headings."""
    text = read_text(path)
    if path.suffix.lower() == ".properties":
        text = _ESCAPE.sub(_unescaped, text)
    elements: list[Element] = []
    block: list[str] = []
    for line in text.split("\n"):
        section = _SECTION.fullmatch(line.strip())
        if section:
            elements += [*_blocks(block), Element(section[1].strip(), "heading", 1)]
            block = [line] if line.strip()[-1] != "]" else []  # a comment behind the name
        else:
            block.append(line)
    return ParsedDocument("", (*elements, *_blocks(block)))


def _unescaped(escapes: re.Match[str]) -> str:
    r"""Decode a run of ``\uXXXX``, which is UTF-16."""
    data = bytes.fromhex(escapes[0].replace("\\u", ""))
    return data.decode("utf-16-be", "replace")


def load_json_lines(path: Path, _limits: Limits) -> ParsedDocument:
    """Read one JSON value a line, each as a block; a line that is not JSON is kept as it is."""
    elements = []
    for line in read_text(path).split("\n"):
        try:
            text = "\n".join(json_lines(json.loads(line)))
        except (ValueError, RecursionError):
            text = line
        if text.strip():
            elements.append(Element(text, "lines"))
    return ParsedDocument("", tuple(elements))
