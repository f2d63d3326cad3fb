"""The README's table of formats is true: a file of each format is ingested and found."""

import shutil
import zipfile
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import docx
import openpyxl
import pptx
import pypandoc
import pytest
import xlwt
from aspose.email_foss.msg import MapiMessage
from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfgen.canvas import Canvas

from twotower.ingest.loaders import FORMATS, ocr

PICTURES = [suffix for suffix, f in FORMATS.items() if f.needs_ocr]
PAGED = (".pdf", ".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm", ".odp", ".otp")
TEXT = "The quayside crane lifts phrase{} every Thursday."


def phrase(suffix: str) -> str:
    return f"phrase{suffix.removeprefix('.')}x"


def by_pandoc(path: Path, text: str) -> None:
    pypandoc.convert_text(
        f"# Heading\n\n{text}\n", path.suffix[1:], format="md", outputfile=str(path),
        extra_args=["--standalone"],
    )  # fmt: skip


def write_pdf(path: Path, text: str) -> None:
    canvas = Canvas(str(path))
    canvas.drawString(72, 700, text)
    canvas.save()


def write_docx(path: Path, text: str) -> None:
    document = docx.Document()
    document.add_paragraph(text)
    document.save(str(path))


def write_pptx(path: Path, text: str) -> None:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "Cranes"
    slide.placeholders[1].text = text
    presentation.save(str(path))


def write_xlsx(path: Path, text: str) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Crane", "Note"])
    book.active.append(["C1", text])
    book.save(path)


def write_xls(path: Path, text: str) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Cranes")
    for row, cells in enumerate([("Crane", "Note"), ("C1", text)]):
        for column, cell in enumerate(cells):
            sheet.write(row, column, cell)
    book.save(str(path))


def write_eml(path: Path, text: str) -> None:
    message = EmailMessage()
    message["Subject"], message["From"] = "Cranes", "ana@quay.example"
    message.set_content(text)
    path.write_bytes(bytes(message))


def write_mbox(path: Path, text: str) -> None:
    path.write_text(f"From a@b Mon Jan  1 00:00:00 2024\nSubject: {text}\n\n{text}\n")


def write_msg(path: Path, text: str) -> None:
    MapiMessage.create("Cranes", text).save(str(path))


def write_zip(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cranes/note.txt", text)


def write_opendocument(path: Path, text: str, kind: str) -> None:
    """Write the part of an OpenDocument file that has the text; pandoc writes texts alone."""
    paragraph = f"<text:p>{text}</text:p>"
    row = f"<table:table-row><table:table-cell>{paragraph}</table:table-cell></table:table-row>"
    body = {
        "text": paragraph,
        "spreadsheet": f"<table:table>{row}</table:table>",
        "presentation": f"<draw:page>{paragraph}</draw:page>",
    }[kind]
    names = {"office": "office", "text": "text", "table": "table", "draw": "drawing"}
    spaces = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"'
        for short, long in names.items()
    )
    content = f"<office:body><office:{kind}>{body}</office:{kind}></office:body>"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "content.xml", f"<office:document-content {spaces}>{content}</office:document-content>"
        )


def write_picture(path: Path, text: str) -> None:
    picture = Image.new("RGB", (1600, 200), "white")
    ImageDraw.Draw(picture).text((40, 60), text, "black", font=ImageFont.load_default(48))
    picture.save(path)


def write_plain(path: Path, text: str) -> None:
    wrapped = {
        ".html": f"<html><body><p>{text}</p></body></html>",
        ".htm": f"<p>{text}</p>",
        ".xhtml": f"<html xmlns='http://www.w3.org/1999/xhtml'><body><p>{text}</p></body></html>",
        ".xml": f"<cranes><crane name='C1'>{text}</crane></cranes>",
        ".json": f'{{"cranes": [{{"note": "{text}"}}]}}',
        ".csv": f"Crane,Note\nC1,{text}\n",
        ".tsv": f"Crane\tNote\nC1\t{text}\n",
        ".ipynb": f'{{"nbformat": 4, "cells": [{{"cell_type": "code", "source": "{text}"}}]}}',
        ".srt": f"1\n00:00:01,000 --> 00:00:04,000\n{text}\n",
        ".vtt": f"WEBVTT\n\n00:01.000 --> 00:04.000\n{text}\n",
        ".ics": f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:{text}\nEND:VEVENT\nEND:VCALENDAR\n",
        ".vcf": f"BEGIN:VCARD\nFN:Ann Lee\nNOTE:{text}\nEND:VCARD\n",
        ".mhtml": f"Content-Type: text/html\n\n<p>{text}</p>",
        ".mht": f"Content-Type: text/html\n\n<p>{text}</p>",
        ".org": f"* Heading\n\n{text}\n",
        ".rst": f"Heading\n=======\n\n{text}\n",
    }
    path.write_text(wrapped.get(path.suffix, text), encoding="utf-8")


WRITERS = {
    ".pdf": write_pdf,
    ".docx": write_docx,
    ".pptx": write_pptx,
    ".xlsx": write_xlsx,
    ".xlsm": write_xlsx,
    ".xls": write_xls,
    ".eml": write_eml,
    ".mbox": write_mbox,
    ".msg": write_msg,
    ".zip": write_zip,
    ".epub": by_pandoc,
    **dict.fromkeys((".docm", ".dotx", ".dotm"), write_docx),
    **dict.fromkeys((".pptm", ".ppsx", ".ppsm", ".potx", ".potm"), write_pptx),
    **dict.fromkeys((".xltx", ".xltm"), write_xlsx),
    ".xlt": write_xls,
    **dict.fromkeys((".odt", ".ott"), partial(write_opendocument, kind="text")),
    **dict.fromkeys((".ods", ".ots"), partial(write_opendocument, kind="spreadsheet")),
    **dict.fromkeys((".odp", ".otp"), partial(write_opendocument, kind="presentation")),
    ".rtf": by_pandoc,
    **dict.fromkeys(PICTURES, write_picture),
}


def test_a_file_of_each_format_is_found_by_its_phrase(twotower, tmp_path):
    folder = tmp_path / "formats"
    folder.mkdir()
    suffixes = [s for s in FORMATS if s not in PICTURES]
    for suffix in suffixes:
        writer = WRITERS.get(suffix, write_plain)
        writer(folder / f"document{suffix}", TEXT.format(suffix[1:] + "x"))
    report = twotower("ingest", folder, "--json")
    assert report.json["failed"] == []
    assert report.json["added"] == len(suffixes) >= 24
    for suffix in suffixes:
        hits = twotower("search", phrase(suffix), "--mode", "bm25", "--json").json["hits"]
        assert [hit["source"] for hit in hits] == [f"document{suffix}"]
        assert hits[0]["page"] == (1 if suffix in PAGED else None)


@pytest.mark.skipif(not ocr.engines("auto"), reason="neither rapidocr nor tesseract is installed")
def test_the_text_of_pictures_and_scans_is_recognised(twotower, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for suffix in PICTURES:
        write_picture(folder / f"document{suffix}", f"The crane lifts {phrase(suffix)}")
    Image.open(folder / "document.png").save(folder / "scan.pdf")
    assert twotower("ingest", folder, "--json").json["failed"] == []
    for suffix in PICTURES:
        hits = twotower("search", phrase(suffix), "--mode", "bm25", "--json").json["hits"]
        assert f"document{suffix}" in [hit["source"] for hit in hits]
    places = twotower("search", phrase(".png"), "--mode", "bm25", "--json").json["hits"]
    places += [place for hit in places for place in hit["copies"]]
    assert [place["page"] for place in places if place["source"] == "scan.pdf"] == [1]


def test_without_ocr_a_scan_is_reported_and_pictures_are_left_out(twotower, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_picture(folder / "picture.png", "unread")
    Image.open(folder / "picture.png").save(folder / "scan.pdf")
    shutil.copy(folder / "picture.png", tmp_path / "alone.png")
    without = {"TWOTOWER_OCR": "none"}
    done = twotower.fresh("ingest", folder, "--json", **without)
    assert done.code == 1
    (failed,) = done.json["failed"]
    assert (failed["source"], failed["kind"]) == ("scan.pdf", "no-text")
    assert "no text layer" in failed["reason"]
    assert "TWOTOWER_OCR" in failed["reason"]
    picture = twotower.fresh("ingest", tmp_path / "alone.png", "--json", **without)
    assert (picture.code, picture.json["failed"][0]["kind"]) == (1, "no-text")
