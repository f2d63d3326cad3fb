"""Read PDFs with pdfium: characters to lines, lines to headings, paragraphs and table rows.

pdfium lists the characters of a page in content order, with their places. pdfium can abort the
process on malformed files, so it runs in a worker process (see `ingest.loaders.isolation`).
"""

import re
import time
from collections.abc import Sequence
from pathlib import Path

import pypdfium2

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders import ocr
from twotower.ingest.loaders.pdf.annotations import annotations
from twotower.ingest.loaders.pdf.assembly import page_lines
from twotower.ingest.loaders.pdf.grouping import elements_of_lines
from twotower.ingest.loaders.pdf.layout import reading_order
from twotower.ingest.loaders.pdf.lines import WORD, Line, is_usable
from twotower.ingest.loaders.pdf.running import without_running_lines
from twotower.ingest.loaders.pdf.scan import beside_scan, needs_ocr, pages_named, read_page
from twotower.retrieval.vocabulary.errors import DocumentError

_OCR_SHARE = 0.8  # of the time limit of a file after which no other page is recognised
# Titles that PDF producers write and that say nothing: no words, or the name of another file.
_NO_TITLE = re.compile(
    r"(?i)untitled|microsoft (word|excel|powerpoint) - |.*\.(docx?|indd|tex|pdf)$"
)


def load_pdf(path: Path, limits: Limits) -> ParsedDocument:
    """Read the text layer of a PDF, or recognise its text if it has none and OCR is available.

    Raises
    ------
    DocumentError
        ``encrypted``, ``malformed``, ``too-large`` (more pages than the limit) or ``no-text``.
    """
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise DocumentError(
                "the PDF is encrypted: save a copy without a password", "encrypted"
            ) from error
        raise DocumentError(f"the file is not a readable PDF ({error})", "malformed") from error
    with document:
        if len(document) > limits.max_pages:
            raise DocumentError(
                f"the PDF has {len(document)} pages; the limit is {limits.max_pages} "
                "(TWOTOWER_MAX_PAGES)",
                "too-large",
            )
        pages = [list(page_lines(document[index], index + 1)) for index in range(len(document))]
        others, warnings = _other_text(document, pages, limits)
        title = str(document.get_metadata_dict().get("Title", "")).strip()
    if not any(pages) and not any(others):
        installed = ocr.engines(limits.ocr)
        found = "; ".join(warnings) or "OCR recognised no text in it"
        remedy = found if installed else ocr.remedy(limits.ocr)
        raise DocumentError(f"the PDF has no text layer (it may be a scan): {remedy}", "no-text")
    lines = [line for page in without_running_lines(pages) for line in reading_order(page)]
    by_page: list[list[Element]] = [[] for _ in pages]
    for element in elements_of_lines(lines):
        by_page[(element.page or 1) - 1].append(element)
    elements = tuple(
        element for pair in zip(by_page, others, strict=True) for part in pair for element in part
    )
    if not WORD.search(title) or _NO_TITLE.match(title):
        title = _first_heading(elements)
    return ParsedDocument(title, elements, len(pages), warnings=tuple(warnings))


def _other_text(
    document: pypdfium2.PdfDocument, pages: list[list[Line]], limits: Limits
) -> tuple[list[list[Element]], list[str]]:
    """Read what is not in the text layer of each page: forms, notes, and scanned text.

    OCR reads a page without text, one whose letters have no codes, and a scan with a stamp. The
    lines of a page whose text layer is unusable are removed from ``pages``.

    Returns
    -------
    tuple
        Elements by page, and warnings: the pages that were not read by reason, and those that were
        not read in full.
    """
    installed = ocr.engines(limits.ocr)
    others: list[list[Element]] = []
    in_part: dict[int, int] = {}  # lines by page
    unread: dict[str, list[int]] = {}
    late: list[int] = []
    started = time.monotonic()
    for index, lines in enumerate(pages):
        page = document[index]
        elements = list(annotations(page, index + 1))
        usable = is_usable(lines)
        if not usable:
            lines.clear()
        others.append(elements)
        if not needs_ocr(page, lines, usable):
            continue
        if time.monotonic() - started > limits.seconds * _OCR_SHARE:
            late.append(index + 1)
            continue
        recognised, lines_left = read_page(page, index + 1, limits) if installed else ([], 0)
        others[-1] = beside_scan(recognised, lines) + elements
        if lines_left:
            in_part[index + 1] = lines_left
        elif not recognised:
            kind = "pictures without text" if usable else "letters without usable codes"
            unread.setdefault(kind, []).append(index + 1)
    remedy = "OCR recognised nothing" if installed else ocr.remedy(limits.ocr)
    warnings = [f"{pages_named(numbers)}: {kind} ({remedy})" for kind, numbers in unread.items()]
    if late:
        limit = f"OCR needs more than {limits.seconds:g} s (TWOTOWER_PARSE_SECONDS)"
        warnings.append(f"{pages_named(late)}: not read, because {limit}")
    if in_part:
        warnings.append(f"{pages_named([*in_part])}: {ocr.incomplete(sum(in_part.values()))}")
    return others, warnings


def _first_heading(elements: Sequence[Element]) -> str:
    """Return the first heading of the highest level on page 1."""
    headings = [e for e in elements if e.kind == "heading" and e.page == 1]
    return min(headings, key=lambda e: e.level).text if headings else ""
