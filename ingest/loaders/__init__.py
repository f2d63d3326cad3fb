"""From a file to its elements: the table of formats, and one function for each way to read them."""

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ingest.elements import Limits, ParsedDocument
from ingest.loaders import ocr
from ingest.loaders.mail import load_eml, load_msg
from ingest.loaders.markup import load_html, load_markdown, load_xml
from ingest.loaders.office import load_docx, load_pptx
from ingest.loaders.pdf import load_pdf
from ingest.loaders.tables import load_delimited, load_workbook
from ingest.loaders.text import read_text
from ingest.loaders.unstructured import Headings, elements_of, parsed, partition
from retrieval.errors import DocumentError

Loader = Callable[[Path, Limits], ParsedDocument]

_ARCHIVES = frozenset({".docx", ".pptx", ".xlsx", ".xlsm", ".epub", ".odt"})
_SMALL_ARCHIVE = 20 * 2**20  # bytes unpacked: below, no ratio hurts


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file: its name for people, its suffixes, and how it is read."""

    name: str
    suffixes: tuple[str, ...]
    load: Loader


def load(path: Path, limits: Limits) -> ParsedDocument:
    """Read a file by its suffix.

    Raises
    ------
    DocumentError
        With one line that tells the owner of the file what is wrong with it.
    """
    if path.suffix.lower() in _ARCHIVES:
        _check_archive(path, limits)
    document = FORMATS[path.suffix.lower()].load(path, limits)
    if not any(element.text.strip() for element in document.elements):
        raise DocumentError("the file has no text in it", "no-text")
    return document if document.title.strip() else replace(document, title=path.stem)


def readable_suffixes() -> frozenset[str]:
    """Tell which files are worth finding: pictures only where their text can be recognised."""
    pictures = set() if ocr.available() else set(ocr.SUFFIXES)
    return frozenset(set(FORMATS) - pictures)


def _check_archive(path: Path, limits: Limits) -> None:
    """Refuse an archive that unpacks to too much; archives inside it are never opened.

    Python's zipfile reads no more of an entry than its directory entry claims, so the claims are
    what counts.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            expanded = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError):
        return  # the loader tells what is wrong with it
    ratio = expanded / max(path.stat().st_size, 1)
    if expanded > limits.max_expanded_mb * 2**20:
        raise DocumentError(
            f"the file unpacks to {expanded / 2**20:.0f} MB, the limit is "
            f"{limits.max_expanded_mb} MB (TWOTOWER_MAX_EXPANDED_MB)",
            "archive-bomb",
        )
    if expanded > _SMALL_ARCHIVE and ratio > limits.max_expansion:
        raise DocumentError(
            f"the file unpacks to {ratio:.0f} times its size, the limit is "
            f"{limits.max_expansion} (TWOTOWER_MAX_EXPANSION)",
            "archive-bomb",
        )


def _load_text(module: str, headings: Headings, path: Path, _limits: Limits) -> ParsedDocument:
    text = read_text(path)
    partitions = partition(module, {"text": text}) if text.strip() else []
    return parsed("", elements_of(partitions, headings))


def _load_org(path: Path, limits: Limits) -> ParsedDocument:
    """Org mode; its title is a keyword that does not reach the text."""
    document = _load_file("org", "marked", path, limits)
    named = re.search(r"^#\+title:[ \t]*(.+)$", read_text(path), re.MULTILINE | re.IGNORECASE)
    return replace(document, title=named[1].strip()) if named else document


def _load_file(module: str, headings: Headings, path: Path, _limits: Limits) -> ParsedDocument:
    return parsed("", elements_of(partition(module, {"filename": str(path)}), headings))


_FORMATS = (
    Format("PDF", (".pdf",), load_pdf),
    Format("Plain text", (".txt", ".text", ".log"), partial(_load_text, "text", "guessed")),
    Format("JSON", (".json",), partial(_load_text, "text", "none")),
    Format("Markdown", (".md", ".markdown"), load_markdown),
    Format("HTML", (".html", ".htm", ".xhtml"), load_html),
    Format("XML", (".xml",), load_xml),
    Format("Word", (".docx",), load_docx),
    Format("PowerPoint", (".pptx",), load_pptx),
    Format("Excel", (".xlsx", ".xlsm"), load_workbook),
    Format("Excel 97", (".xls",), partial(_load_file, "xlsx", "none")),
    Format("Comma-separated", (".csv",), load_delimited),
    Format("Tab-separated", (".tsv",), load_delimited),
    Format("E-mail", (".eml",), load_eml),
    Format("Outlook mail", (".msg",), load_msg),
    Format("E-book", (".epub",), partial(_load_file, "epub", "marked")),
    Format("OpenDocument", (".odt",), partial(_load_file, "odt", "guessed")),
    Format("Rich text", (".rtf",), partial(_load_file, "rtf", "marked")),
    Format("reStructuredText", (".rst",), partial(_load_file, "rst", "marked")),
    Format("Picture (with OCR)", ocr.SUFFIXES, ocr.load_picture),
    Format("Org mode", (".org",), _load_org),
)

FORMATS: dict[str, Format] = {suffix: f for f in _FORMATS for suffix in f.suffixes}
