"""OCR of scanned pages and pictures with tesseract, if it and the extra `ocr` are installed."""

import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.retrieval.vocabulary.errors import DocumentError

REMEDY = "install tesseract and the extra `ocr`, or run OCR on the file first"
_RESOLUTION = 300 / 72  # pixels for a PDF point; 300 dpi is what tesseract's guide recommends
_TOO_MANY_PIXELS = 80_000_000


@cache
def available() -> bool:
    """Whether OCR is installed."""
    return find_spec("pytesseract") is not None and shutil.which("tesseract") is not None


def load_picture(path: Path, _limits: Limits) -> ParsedDocument:
    """Recognise the text of a picture.

    Raises
    ------
    DocumentError
        ``no-text`` if OCR is not installed, ``malformed`` or ``too-large``.
    """
    if not available():
        raise DocumentError(f"a picture has no text layer: {REMEDY}", "no-text")
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > _TOO_MANY_PIXELS:
                size = f"{picture.width} x {picture.height}"
                raise DocumentError(
                    f"the picture is too large ({size} pixels): scale it down", "too-large"
                )
            return ParsedDocument(path.stem, tuple(_recognised(picture.convert("RGB"), None)))
    except (UnidentifiedImageError, OSError) as error:
        raise DocumentError(
            f"the file cannot be read as a picture ({error})", "malformed"
        ) from error


def read_page(page: Any, number: int) -> list[Element]:
    """Recognise the text of a page of an open PDF."""
    return _recognised(page.render(scale=_RESOLUTION).to_pil(), number)


def _recognised(picture: Any, page: int | None) -> list[Element]:
    import pytesseract  # an extra

    text = pytesseract.image_to_string(picture)
    paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
    return [Element(paragraph, page=page) for paragraph in paragraphs if paragraph]
