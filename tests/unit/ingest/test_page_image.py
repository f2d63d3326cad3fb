"""Pages as pictures: the passage is highlighted, whatever the rotation of the page."""

import io

import pytest
from PIL import Image
from pypdf import PdfReader, PdfWriter
from reportlab.pdfgen import canvas

from twotower.ingest.loaders.page_image import draw_page
from twotower.retrieval.vocabulary.errors import DocumentError

MARK = (255, 236, 130)


@pytest.fixture
def pdf(tmp_path):
    file = tmp_path / "a.pdf"
    drawn = canvas.Canvas(str(file), pagesize=(400, 600))
    drawn.drawString(100, 500, "marked here")
    drawn.showPage()
    drawn.drawString(100, 500, "second page")
    drawn.save()
    return file


def marked_area(picture: bytes) -> tuple[tuple[int, int], tuple[float, float, float, float]]:
    """Return the size, and the edges of the highlight as shares of it: left, top, right, bottom."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    pixels = image.load()
    marked = [
        (x, y) for x in range(image.width) for y in range(image.height) if pixels[x, y] == MARK
    ]
    xs, ys = [x for x, _ in marked], [y for _, y in marked]
    w, h = image.size
    return image.size, (min(xs) / w, min(ys) / h, max(xs) / w, max(ys) / h)


def test_the_line_is_highlighted(pdf):
    size, (left, top, right, bottom) = marked_area(
        draw_page(pdf, 1, [(1, 100, 495, 200, 515), (2, 0, 0, 400, 600)], 400)
    )
    assert size == (400, 600)
    assert (left, right) == pytest.approx((0.25, 0.5), abs=0.02)
    assert (top, bottom) == pytest.approx((85 / 600, 105 / 600), abs=0.02)


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_the_highlight_turns_with_the_page(pdf, tmp_path, turned):
    writer = PdfWriter()
    writer.add_page(PdfReader(pdf).pages[0]).rotate(turned)
    file = tmp_path / "turned.pdf"
    writer.write(file)
    size, (left, top, right, bottom) = marked_area(
        draw_page(file, 1, [(1, 100, 495, 200, 515)], 400)
    )
    assert (size[0] > size[1]) == (turned != 180)
    x, y = (left + right) / 2, (top + bottom) / 2
    upright = (0.375, 95 / 600)  # x and y of the highlight on the page before it was turned
    expected = {
        90: (1 - upright[1], upright[0]),
        180: (1 - upright[0], 1 - upright[1]),
        270: (upright[1], 1 - upright[0]),
    }[turned]
    assert (x, y) == pytest.approx(expected, abs=0.02)


def test_a_missing_page_and_a_broken_file_are_refused(pdf, tmp_path):
    with pytest.raises(DocumentError, match="has 2 pages; it has no page 7"):
        draw_page(pdf, 7, [], 400)
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.4 torn")
    with pytest.raises(DocumentError, match="not a readable PDF"):
        draw_page(broken, 1, [], 400)
