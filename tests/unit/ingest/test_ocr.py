"""Text in pictures and scanned pages is found, by each engine that is installed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from tests.conftest import ROOT
from twotower.ingest.elements import Limits
from twotower.ingest.loaders import load, ocr, readable_suffixes
from twotower.ingest.loaders.ocr import Piece, rapid, tesseract
from twotower.ingest.loaders.pdf.scan import elements_of_pieces
from twotower.ingest.loaders.picture import load_picture
from twotower.retrieval.vocabulary.errors import DocumentError

SIZE = (1000, 300)
BOTH = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name not in ocr.engines("auto"), reason=f"{name} is not installed: .ci/run installs it"
        ),
    )
    for name in ("rapidocr", "tesseract")
]
each_engine = pytest.mark.parametrize("engine", BOTH)


def drawn(*lines: str, size=SIZE, points: int = 48) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    font = ImageFont.load_default(points)
    for number, line in enumerate(lines):
        ImageDraw.Draw(picture).text((40, 40 + 80 * number), line, fill="black", font=font)
    return picture


def texts(document) -> list[str]:
    return [element.text for element in document.elements]


@each_engine
def test_the_words_of_a_picture_are_found(engine, tmp_path):
    drawn("The rent is 845 crowns,", "due on the first day.").save(tmp_path / "a.png")
    document = load(tmp_path / "a.png", Limits(ocr=engine))
    text = " ".join(" ".join(texts(document)).split())
    assert text == "The rent is 845 crowns, due on the first day."
    assert (document.pages, document.warnings) == (None, ())
    assert all(element.lines == () and element.page is None for element in document.elements)


@each_engine
def test_a_scanned_page_between_two_text_pages_is_read(engine, tmp_path):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.drawString(60, 760, "Cover letter")
    canvas.showPage()
    canvas.drawInlineImage(drawn("The rent is 845 crowns"), 60, 500, 500, 150)
    canvas.showPage()
    canvas.drawString(60, 760, "Regards")
    canvas.save()
    document = load(tmp_path / "a.pdf", Limits(ocr=engine))
    assert [(element.page, element.text) for element in document.elements] == [
        (1, "Cover letter"),
        (2, "The rent is 845 crowns"),
        (3, "Regards"),
    ]
    assert document.warnings == ()


def test_pages_for_which_no_time_is_left_are_named(tmp_path):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.drawString(60, 760, "Cover letter")
    for _ in range(3):
        canvas.showPage()
        canvas.drawInlineImage(drawn("The rent is 845 crowns"), 60, 500, 500, 150)
    canvas.save()
    document = load(tmp_path / "a.pdf", Limits(seconds=0))
    assert texts(document) == ["Cover letter"]
    (warning,) = document.warnings
    assert warning.startswith("pages 2, 3, 4: not read, because OCR needs more than 0 s")


@each_engine
def test_a_scan_under_a_stamp_is_read_and_the_stamp_once(engine, tmp_path):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    drawn("The rent is 845 crowns.", size=(1000, 1400)).save(tmp_path / "scan.png")
    canvas.drawImage(str(tmp_path / "scan.png"), 0, 0, A4[0], A4[1])
    canvas.setFont("Helvetica", 20)
    canvas.drawString(60, 400, "Received on Monday")
    canvas.showPage()
    canvas.drawImage(str(tmp_path / "scan.png"), 60, 60, 100, 140)
    canvas.drawString(60, 700, "A page with a small picture.")
    canvas.save()
    document = load(tmp_path / "a.pdf", Limits(ocr=engine))
    assert texts(document) == [
        "Received on Monday",
        "The rent is 845 crowns.",
        "A page with a small picture.",
    ]


@each_engine
@pytest.mark.parametrize("rotated", [False, True])
def test_the_boxes_of_a_scanned_page_are_in_its_points(engine, rotated, tmp_path):
    """The page is cropped, and may be stored sideways and shown upright."""
    left, top, right, bottom = ImageFont.load_default(48).getbbox("The rent is 845 crowns")
    across, down = (60 + (40 + left) / 2, 60 + (40 + right) / 2), (40 + bottom, 40 + top)
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.setCropBox((30, 50, 580, 800))
    picture = drawn("The rent is 845 crowns")
    if rotated:
        canvas.setPageRotation(90)
        canvas.drawInlineImage(picture.transpose(Image.Transpose.ROTATE_90), 200, 60, 150, 500)
        expected = (200 + down[1] / 2, across[0], 200 + down[0] / 2, across[1])
    else:
        canvas.drawInlineImage(picture, 60, 500, 500, 150)
        expected = (across[0], 650 - down[0] / 2, across[1], 650 - down[1] / 2)
    canvas.save()
    (element,) = load(tmp_path / "a.pdf", Limits(ocr=engine)).elements
    (box,) = element.lines
    assert (element.text[box.start : box.end], element.page) == ("The rent is 845 crowns", 1)
    assert (box.left, box.bottom, box.right, box.top) == pytest.approx(expected, abs=6)


@pytest.mark.skipif("rapidocr" not in ocr.engines("auto"), reason="rapidocr is not installed")
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_page_that_was_scanned_sideways_or_upside_down_is_turned(turns, tmp_path):
    lines = ("The rent is 845 crowns.", "Lost keys are reported", "to the harbour office.")
    picture = drawn(*lines).rotate(90 * turns, expand=True)
    picture.save(tmp_path / "a.png")
    assert " ".join(texts(load(tmp_path / "a.png", Limits()))).split() == " ".join(lines).split()
    picture.save(tmp_path / "a.pdf", resolution=144)  # two pixels for a point
    document = load(tmp_path / "a.pdf", Limits())
    box = document.elements[0].lines[0]
    height = picture.height / 2
    corners = (box.left * 2, (height - box.top) * 2, box.right * 2, (height - box.bottom) * 2)
    marked = picture.crop([round(corner) for corner in corners]).rotate(-90 * turns, expand=True)
    marked.save(tmp_path / "marked.png")
    (text,) = texts(load(tmp_path / "marked.png", Limits()))
    assert text.rstrip(".") == "The rent is 845 crowns"


@each_engine
def test_a_photograph_is_turned_as_its_camera_says(engine, tmp_path):
    photograph = drawn("Locker keys hang in the hall").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    photograph.save(tmp_path / "a.jpg", exif=exif)
    assert texts(load(tmp_path / "a.jpg", Limits(ocr=engine))) == ["Locker keys hang in the hall"]


@each_engine
def test_a_tiff_is_read_page_by_page_and_a_blank_page_is_no_loss(engine, tmp_path):
    pages = [drawn("First sheet"), drawn(), drawn("Third sheet")]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    document = load(tmp_path / "a.tiff", Limits(ocr=engine))
    assert [(e.page, e.text) for e in document.elements] == [(1, "First sheet"), (3, "Third sheet")]
    assert (document.pages, document.warnings) == (3, ())


@each_engine
def test_a_blank_picture_has_no_text(engine, tmp_path):
    drawn().save(tmp_path / "a.png")
    with pytest.raises(DocumentError, match="no text"):
        load(tmp_path / "a.png", Limits(ocr=engine))


@each_engine
def test_only_the_first_frame_of_an_animation_is_read(engine, tmp_path):
    frames = [drawn("Opening hours"), drawn("Closed")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert texts(load(tmp_path / "a.webp", Limits(ocr=engine))) == ["Opening hours"]


@each_engine
def test_black_letters_on_a_transparent_ground_and_in_16_bits_are_read(engine, tmp_path):
    grey = drawn("Opening hours").convert("L")
    clear = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    clear.putalpha(grey.point(lambda value: 255 - value))
    clear.save(tmp_path / "clear.png")
    grey.convert("I").point(lambda value: value * 257).convert("I;16").save(tmp_path / "deep.png")
    for name in ("clear.png", "deep.png"):
        assert texts(load(tmp_path / name, Limits(ocr=engine))) == ["Opening hours"]


@pytest.mark.parametrize(
    ("content", "kind"), [(b"", "malformed"), (b"\x89PNG\r\n\x1a\n broken", "malformed")]
)
def test_a_broken_picture_is_refused(tmp_path, content, kind):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DocumentError) as refused:
        load_picture(tmp_path / "a.png", Limits())
    assert refused.value.kind == kind


def test_a_cut_picture_is_refused(tmp_path):
    drawn("Opening hours").save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(DocumentError, match="cannot be read as a picture"):
        load_picture(tmp_path / "a.png", Limits())


def test_without_an_engine_pictures_are_left_out():
    assert ".png" in readable_suffixes("rapidocr")
    assert ".png" not in readable_suffixes("none")
    assert ".pdf" in readable_suffixes("none")


def test_letters_that_rapidocr_does_not_know_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tesseract, "knows_more", lambda _languages: False)
    from matplotlib import get_data_path

    picture = Image.new("RGB", SIZE, "white")
    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", 44)
    pen = ImageDraw.Draw(picture)
    pen.text((40, 40), "Opening hours", fill="black", font=font)
    pen.text((40, 140), "Ключ висит за синей дверью", fill="black", font=font)
    picture.save(tmp_path / "a.png")
    document = load(tmp_path / "a.png", Limits())
    assert texts(document) == ["Opening hours"]
    assert document.warnings == (ocr.incomplete(1),)
    below = picture.crop((0, 120, *SIZE))
    for name in ("b.png", "b.pdf"):
        below.save(tmp_path / name)
        with pytest.raises(DocumentError, match="could not be read in full") as refused:
            load(tmp_path / name, Limits())
        assert refused.value.kind == "no-text"


def test_tesseract_reads_what_rapidocr_cannot_if_it_has_the_languages(monkeypatch):
    monkeypatch.setattr(ocr, "engines", lambda _choice: ("rapidocr", "tesseract"))
    monkeypatch.setattr(rapid, "recognise", lambda _picture: ocr.Recognised((), 3))
    read = ocr.Recognised((Piece("Ключ", 0, 0, 40, 10),))
    monkeypatch.setattr(tesseract, "recognise", lambda _picture, _languages: read)
    monkeypatch.setattr(tesseract, "installed", lambda: ("eng", "rus"))
    assert ocr.recognise(drawn(), Limits()) == read
    monkeypatch.setattr(tesseract, "installed", lambda: ("eng",))
    assert ocr.recognise(drawn(), Limits()).unread == 3


def row(text: str, left: float, top: float, width: float = 300, height: float = 20) -> Piece:
    return Piece(text, left, top, left + width, top + height)


def test_lines_become_paragraphs_headings_and_tables():
    pieces = [
        row("The rent is due on", 50, 130),
        row("Mooring", 50, 50, height=40),
        row("the first day of a month with-", 50, 160),
        row("out reminder.", 50, 190, 120),
        row("It is paid in crowns.", 50, 250),
        row("North pier", 50, 320, 100),
        row("845", 300, 322, 40),
    ]
    assert [(e.kind, e.text) for e in elements_of_pieces(pieces, 1)] == [
        ("heading", "Mooring"),
        ("text", "The rent is due on the first day of a month without reminder."),
        ("text", "It is paid in crowns."),
        ("lines", "North pier | 845"),
    ]


def test_two_columns_are_read_one_after_the_other():
    pieces = [row(f"right {n}", 420, 55 + 30 * n) for n in range(10)]
    pieces += [row(f"left {n}", 50, 50 + 30 * n) for n in range(10)]
    text = " ".join(e.text for e in elements_of_pieces(pieces, 1)).split()
    assert text[::2] == ["left"] * 10 + ["right"] * 10
    assert text[1::2] == [str(n) for n in range(10)] * 2


HANG = """#!/bin/sh
echo $$ > {started}
exec sleep 60
"""
READ = """
import sys
from PIL import Image
from twotower.ingest.loaders.ocr import tesseract
tesseract.recognise(Image.new("RGB", (10, 10)), "eng")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_tesseract_ends_when_the_process_that_started_it_is_killed(tmp_path):
    started, program = tmp_path / "started", tmp_path / "tesseract"
    program.write_text(HANG.format(started=started))
    program.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    reading = subprocess.Popen([sys.executable, "-c", READ], env={**os.environ, **path})
    wait_until(lambda: started.exists() and started.read_text().strip())
    reading.send_signal(signal.SIGKILL)
    reading.wait()
    wait_until(lambda: not is_running(int(started.read_text())))


def is_running(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
