"""Formats that pandoc turns into HTML: e-books, rich text, reStructuredText and Org mode."""

import re
import zipfile
from pathlib import Path

from twotower.ingest.elements import Limits, ParsedDocument
from twotower.ingest.loaders.html import read_html
from twotower.ingest.loaders.markup import titled
from twotower.ingest.loaders.plain import elements_of_text
from twotower.ingest.loaders.programs import output_of
from twotower.ingest.loaders.text import read_text
from twotower.retrieval.vocabulary.errors import DocumentError

_TEMPLATE = Path(__file__).with_name("pandoc.html")  # pandoc's own takes it half its time
_NO_TITLE = "-"  # pandoc puts it where a document has none
# pandoc takes far longer than linear time on some text. Ordinary text takes a tenth of this.
_SECONDS = 2.0
_BYTES_A_SECOND = 25_000
_RTF = re.compile(rb"\s*\{\\rtf")


def load_epub(path: Path, _limits: Limits) -> ParsedDocument:
    """Read an e-book.

    Raises
    ------
    DocumentError
        ``malformed``.
    """
    if not zipfile.is_zipfile(path):
        raise DocumentError("the file is not an e-book: it is no zip archive", "malformed")
    return _read("epub", path.read_bytes())


def load_rtf(path: Path, _limits: Limits) -> ParsedDocument:
    """Read rich text.

    Raises
    ------
    DocumentError
        ``malformed``.
    """
    content = path.read_bytes()
    if not _RTF.match(content):
        raise DocumentError("the file is not rich text: it does not begin with {\\rtf", "malformed")
    return _read("rtf", content)


def load_rst(path: Path, _limits: Limits) -> ParsedDocument:
    """Read reStructuredText."""
    return _read_markup("rst", read_text(path))


def load_org(path: Path, _limits: Limits) -> ParsedDocument:
    """Read Org mode."""
    return _read_markup("org", read_text(path))


def _read_markup(kind: str, text: str) -> ParsedDocument:
    """Convert a text with marks; one on which pandoc takes too long is read as plain text."""
    try:
        return _read(kind, text.encode())
    except DocumentError as error:
        if error.kind != "timeout":
            raise
        return titled(ParsedDocument("", tuple(elements_of_text(text))))


def _read(kind: str, content: bytes) -> ParsedDocument:
    """Convert a document; pandoc's sandbox reads no other file, such as one that it includes."""
    import pypandoc

    command = [pypandoc.get_pandoc_path(), "--sandbox", f"--template={_TEMPLATE}", "--wrap=none"]
    # Its search for the ends of quotations takes quadratic time.
    kind = f"{kind}-smart" if kind in ("org", "rst") else kind
    command += [f"--from={kind}", "--to=html5", f"--metadata=pagetitle:{_NO_TITLE}"]
    seconds = _SECONDS + len(content) / _BYTES_A_SECOND
    document = read_html(output_of(command, content, seconds=seconds))
    title = "" if document.title == _NO_TITLE else document.title
    return titled(ParsedDocument(title, document.elements))
