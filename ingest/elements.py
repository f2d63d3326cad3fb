"""The result of a loader: the text of a file in reading order, with its structure."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["heading", "text", "item", "table", "lines", "note"]


@dataclass(frozen=True, slots=True)
class LineBox:
    """A part ``[start, end)`` of an element's text, and its box in PDF points."""

    start: int
    end: int
    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True, slots=True)
class Element:
    """A heading, paragraph, list item, table or block of lines.

    Attributes
    ----------
    text
        Text of the element. A ``table`` has one row a line, with cells joined by `` | `` and
        column names first.
    kind
        ``lines`` (code, rows without column names) are cut between lines only. An ``item`` belongs
        to a list. A ``note`` (footer, footnote, comment) does not belong to the heading before it.
    level
        Level of a heading, where 1 is the highest; 0 for other elements.
    page
        Page number from 1; ``None`` if the format has no pages.
    lines
        Boxes of the lines on the page, in order, if the format has them.
    """

    text: str
    kind: Kind = "text"
    level: int = 0
    page: int | None = None
    lines: tuple[LineBox, ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A document's title, its elements, and its number of pages (``None``: no pages).

    ``front_matter`` is the unparsed YAML from the beginning of the file. ``warnings`` are lines for
    the owner of the file, each about a part of it that was not read: the place, and the reason.
    """

    title: str
    elements: tuple[Element, ...]
    pages: int | None = None
    front_matter: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a loader, beyond which files are refused, and its way to read pictures.

    Attributes
    ----------
    max_pages
        Maximum number of pages of a PDF.
    max_expanded_mb
        Maximum unpacked size of an archive, in MiB.
    max_expansion
        Maximum ratio of an archive's unpacked size to its size.
    ocr
        Engine of OCR: ``rapidocr``, ``tesseract``, ``auto`` for the better one that is installed,
        or ``none``.
    ocr_languages
        Languages that tesseract reads, such as ``eng+rus``; empty for those that are installed.
    seconds
        Time after which the reading of a file is ended.
    max_depth
        Maximum depth of files inside one another, such as an attachment of a mail in an archive.
    """

    max_pages: int = 5000
    max_expanded_mb: int = 1000
    max_expansion: int = 200
    ocr: str = "auto"
    ocr_languages: str = ""
    seconds: float = 120.0
    max_depth: int = 4
