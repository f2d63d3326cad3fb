"""Files inside a file: attachments of a mail, members of an archive."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath
from typing import IO

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.retrieval.vocabulary.errors import DocumentError


def load_part(name: str, content: IO[bytes], limits: Limits) -> ParsedDocument:
    """Read a file inside another one with the loader of its suffix.

    Returns
    -------
    ParsedDocument
        The elements one level below the heading that the caller writes, without page numbers.

    Raises
    ------
    DocumentError
        ``unsupported``, ``too-deep``, or the error of the loader.
    """
    from twotower.ingest.loaders import load, readable_suffixes  # which import this module

    suffix = PurePath(name).suffix.lower()
    if suffix not in readable_suffixes(limits.ocr):
        raise DocumentError(f"no loader reads '{suffix or name}' files", "unsupported")
    if not limits.max_depth:
        raise DocumentError("too many files inside one another", "too-deep")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"part{suffix}"
        with path.open("wb") as file:
            shutil.copyfileobj(content, file)
        try:
            document = load(path, replace(limits, max_depth=limits.max_depth - 1))
        except (DocumentError, MemoryError):
            raise
        except Exception as error:  # a broken part must not cost the whole file
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise DocumentError(
                f"the parser failed ({type(error).__name__}: {reason})", "malformed"
            ) from error
    return replace(document, pages=None, elements=tuple(_below(document, path.stem)))


def _below(document: ParsedDocument, file_name: str) -> Iterator[Element]:
    """Yield the elements one level lower, after what is metadata in a file of its own."""
    if document.front_matter:
        yield Element(document.front_matter.strip(), "lines")
    title = document.title
    texts = (document.front_matter, *(element.text for element in document.elements))
    if title != file_name and not any(title in text for text in texts):
        yield Element(title)
    for element in document.elements:
        level = element.level + 1 if element.kind == "heading" else 0
        yield replace(element, level=level, page=None, lines=())
