"""Text of scanned pages and pictures by tesseract, where it and the extra `ocr` are installed."""

import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ingest.elements import Element, Limits, ParsedDocument
from retrieval.errors import DocumentError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
REMEDY = "install tesseract and the extra `ocr`, or run it through OCR first"
_RESOLUTION = 300 / 72  # pixels for a PDF point: what tesseract's own guide recommends
_TOO_MANY_PIXELS = 80_000_000


@cache
def available() -> bool:
    """Whether text can be recognised here."""
    return find_spec("pytesseract") is not None and shutil.which("tesseract") is not None


def load_picture(path: Path, _limits: Limits) -> ParsedDocument:
    """Read the text of a picture.

    Raises
    ------
    DocumentError
        ``no-text`` without tesseract, ``malformed``, or ``too-large``.
    """
    if not available():
        raise DocumentError(f"a picture has no text layer: {REMEDY}", "no-text")
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - only pictures need it

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > _TOO_MANY_PIXELS:
                size = f"{picture.width} x {picture.height}"
                raise DocumentError(f"the picture has {size} pixels: scale it down", "too-large")
            return ParsedDocument(path.stem, tuple(_recognised(picture.convert("RGB"), None)))
    except (UnidentifiedImageError, OSError) as error:
        raise DocumentError(f"cannot be read as a picture ({error})", "malformed") from error


def read_pages(document: Any) -> ParsedDocument:
    """Read the text of every page of an open PDF, drawn as a picture."""
    elements = []
    for index in range(len(document)):
        picture = document[index].render(scale=_RESOLUTION).to_pil()
        elements += _recognised(picture, index + 1)
    return ParsedDocument("", tuple(elements), len(document))


def _recognised(picture: Any, page: int | None) -> list[Element]:
    import pytesseract  # noqa: PLC0415 - an extra

    text = pytesseract.image_to_string(picture)
    paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
    return [Element(paragraph, page=page) for paragraph in paragraphs if paragraph]
