"""What a loader makes of a file: text in reading order, with its structure."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["heading", "text", "item", "table", "lines"]


@dataclass(frozen=True, slots=True)
class LineBox:
    """A stretch ``[start, end)`` of an element's text, and its box in PDF points."""

    start: int
    end: int
    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True, slots=True)
class Element:
    """A run of text that belongs together.

    Attributes
    ----------
    text
        Of a ``table``: one row a line, cells joined by `` | ``, column names first. ``lines``
        (code, rows without column names) are cut between lines only; an ``item`` belongs to a list.
    level
        Of a heading: 1 is the outermost. 0 for anything else.
    page
        1-based; ``None`` where the format has none.
    lines
        Where each stretch of the text stands on its page, in order, where the format tells.
    """

    text: str
    kind: Kind = "text"
    level: int = 0
    page: int | None = None
    lines: tuple[LineBox, ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A document's title, its elements, and how many pages it has (``None``: no pages).

    ``front_matter`` is YAML from the head of the file, as it stands there.
    """

    title: str
    elements: tuple[Element, ...]
    pages: int | None = None
    front_matter: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a loader refuses, because reading it would take too much."""

    max_pages: int = 5000
    max_expanded_mb: int = 1000
    max_expansion: int = 200
