"""The lines of a PDF page, with their fonts, boxes and cells."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from twotower.retrieval.vocabulary.text import normalised

HYPHEN = "\x02"  # our mark for a hyphen at the end of a line
BULLETS = "•◦▪●‣·*–-"  # noqa: RUF001 - a dash that is not a hyphen is meant
WORD = re.compile(r"[^\W\d_]{2}")
_NO_LETTER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd]")
_MOST_UNUSABLE = 0.2  # share of a page's characters
_LEADERS = re.compile(r"(?:\s?\.){5,}")  # dots between an entry and its page number
_CURRENCY = re.compile(r"([$€£¥]) \| (?=[\d(—-])")
_CURRENCY_CELL = re.compile(r"(?<=[\d)%—]) (?=[$€£¥] ?[\d(—])")


@dataclass(frozen=True, slots=True)
class Cell:
    """A part of a line without wide gaps."""

    text: str
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page, from left to right, with its box (origin at the lower left corner).

    Lengths are in PDF points. The text ends with ``HYPHEN`` if a hyphen may cut a word there.
    """

    text: str
    left: float
    bottom: float
    right: float
    top: float
    size: float
    weight: int
    bold: bool
    cells: tuple[Cell, ...]
    page: int

    @property
    def tabular(self) -> bool:
        """Whether the line has more than one cell."""
        return len(self.cells) > 1


def is_usable(lines: Sequence[Line]) -> bool:
    """Whether the characters of a page stand for letters.

    Fonts without a mapping to characters give control characters, or those of private use.
    """
    text = "".join(line.text for line in lines).replace(" ", "").replace(HYPHEN, "")
    return len(_NO_LETTER.findall(text)) <= len(text) * _MOST_UNUSABLE


def cell_text(text: str) -> str:
    """Return the text of a cell with single spaces, and without dots that lead to a number."""
    return " ".join(_LEADERS.sub(" … ", normalised(text)).split())


def row_text(cells: Sequence[Cell]) -> str:
    """Join the cells of a line; a currency sign stays with its amount."""
    text = " | ".join(cell.text for cell in cells)
    return _CURRENCY_CELL.sub(" | ", _CURRENCY.sub(r"\1 ", text)) if len(cells) > 1 else text
