"""What a loader makes of a file: text in reading order, with its structure."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["heading", "text", "item", "table", "lines"]


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
    """

    text: str
    kind: Kind = "text"
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A document's title, its elements, and how many pages it has (``None``: no pages)."""

    title: str
    elements: tuple[Element, ...]
    pages: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a loader refuses, because reading it would take too much."""

    max_pages: int = 5000
