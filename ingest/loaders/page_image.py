"""Draw a page of a PDF with highlighted lines; runs in a worker process."""

import ctypes
import io
from collections.abc import Sequence
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium

from twotower.retrieval.vocabulary.documents import Box
from twotower.retrieval.vocabulary.errors import DocumentError

_HIGHEST = 4000  # pixels
_MARK = (255, 236, 130)  # multiplied with the page, so that text stays dark
_MARGIN = 2  # pixels around a line's box


def draw_page(path: Path, number: int, boxes: Sequence[Box], width: int) -> bytes:
    """Draw one page as PNG.

    Parameters
    ----------
    number
        Page number, from 1.
    boxes
        Boxes to highlight; boxes on other pages are ignored.
    width
        Width of the picture in pixels.

    Raises
    ------
    DocumentError
        If the file is not a readable PDF, or has no such page.
    """
    from PIL import Image, ImageChops, ImageDraw

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise DocumentError(f"the file is not a readable PDF ({error})", "malformed") from error
    with document:
        if not 1 <= number <= len(document):
            raise DocumentError(
                f"the PDF has {len(document)} pages; it has no page {number}", "changed"
            )
        page = document[number - 1]
        page_width, page_height = page.get_size()
        if page_width <= 0 or page_height <= 0:
            raise DocumentError(f"page {number} of the PDF has no area", "malformed")
        scale = min(width / page_width, _HIGHEST / page_height)
        image = page.render(scale=scale).to_pil().convert("RGB")
        highlights = Image.new("RGB", image.size, "white")
        draw = ImageDraw.Draw(highlights)
        for _, left, bottom, right, top in (box for box in boxes if box[0] == number):
            low, high = _pixel(page, image.size, left, bottom), _pixel(page, image.size, right, top)
            (x0, x1), (y0, y1) = (sorted(ends) for ends in zip(low, high, strict=True))
            draw.rectangle((x0 - _MARGIN, y0 - _MARGIN, x1 + _MARGIN, y1 + _MARGIN), fill=_MARK)
        drawn = io.BytesIO()
        ImageChops.multiply(image, highlights).save(drawn, "PNG", compress_level=3)
        return drawn.getvalue()


def _pixel(page: pypdfium2.PdfPage, size: tuple[int, int], x: float, y: float) -> tuple[int, int]:
    """Convert a point of the page to a pixel, whatever the page's rotation and crop box."""
    across, down = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(page, 0, 0, *size, 0, x, y, across, down)
    return across.value, down.value
