"""A page of a PDF as a picture, with places on it marked; runs in a worker process."""

import ctypes
import io
from collections.abc import Sequence
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium

from retrieval.errors import DocumentError
from retrieval.types import Box

_HIGHEST = 4000  # pixels
_MARK = (255, 236, 130)  # multiplied with the page: text stays as dark as it is
_MARGIN = 2  # pixels around a line's box


def draw_page(path: Path, number: int, boxes: Sequence[Box], width: int) -> bytes:
    """Draw one page as PNG.

    Parameters
    ----------
    number
        From 1.
    boxes
        What to mark; those of other pages are left out.
    width
        Of the picture, in pixels.

    Raises
    ------
    DocumentError
        If the file is no readable PDF, or has no such page.
    """
    from PIL import Image, ImageChops, ImageDraw  # noqa: PLC0415 - parsers need it seldom

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise DocumentError(f"not a readable PDF ({error})", "malformed") from error
    with document:
        if not 1 <= number <= len(document):
            raise DocumentError(f"the PDF has {len(document)} pages, not {number}", "changed")
        page = document[number - 1]
        page_width, page_height = page.get_size()
        if page_width <= 0 or page_height <= 0:
            raise DocumentError(f"page {number} has no area", "malformed")
        scale = min(width / page_width, _HIGHEST / page_height)
        image = page.render(scale=scale).to_pil().convert("RGB")
        marks = Image.new("RGB", image.size, "white")
        draw = ImageDraw.Draw(marks)
        for _, left, bottom, right, top in (box for box in boxes if box[0] == number):
            low, high = _pixel(page, image.size, left, bottom), _pixel(page, image.size, right, top)
            (x0, x1), (y0, y1) = (sorted(ends) for ends in zip(low, high, strict=True))
            draw.rectangle((x0 - _MARGIN, y0 - _MARGIN, x1 + _MARGIN, y1 + _MARGIN), fill=_MARK)
        drawn = io.BytesIO()
        ImageChops.multiply(image, marks).save(drawn, "PNG", compress_level=3)
        return drawn.getvalue()


def _pixel(page: pypdfium2.PdfPage, size: tuple[int, int], x: float, y: float) -> tuple[int, int]:
    """Where a point of the page is on its picture, whatever the page's rotation and crop box."""
    across, down = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(page, 0, 0, *size, 0, x, y, across, down)
    return across.value, down.value
