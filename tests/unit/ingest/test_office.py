"""Office files as other programs write them: no text is lost, whatever part of the file has it."""

import io
import re
import zipfile

import docx
import openpyxl
import pptx
import pytest
from openpyxl.comments import Comment

from twotower.ingest.elements import Limits
from twotower.ingest.loaders import load
from twotower.retrieval.vocabulary.errors import DocumentError

OPEN = b"application/vnd.openxmlformats-officedocument."
OPEN_XML = b"http://schemas.openxmlformats.org/"


def text_of(path) -> str:
    return "\n".join(element.text for element in load(path, Limits()).elements)


def changed(path, change, added=None) -> None:
    """Write a package anew: ``change`` maps a part's name and content to the new content."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, **(added or {})}.items():
            archive.writestr(name, change(name, content))


def same(_name: str, content: bytes) -> bytes:
    return content


def strict(_name: str, content: bytes) -> bytes:
    """Give the elements their names of Strict Open XML."""
    if b"/2006/relationships/metadata" in content or b"package/2006" in content:
        return re.sub(
            rb"http://schemas\.openxmlformats\.org/officeDocument/2006/",
            b"http://purl.oclc.org/ooxml/officeDocument/",
            content,
        )
    return re.sub(
        rb"http://schemas\.openxmlformats\.org/"
        rb"(wordprocessingml|spreadsheetml|presentationml|drawingml|officeDocument)/2006/",
        rb"http://purl.oclc.org/ooxml/\1/",
        content,
    )


@pytest.fixture
def word(tmp_path):
    document = docx.Document()
    document.add_heading("Mooring rules", 1)
    document.add_paragraph("The berth is paid in spring.")
    document.save(tmp_path / "a.docx")
    return tmp_path / "a.docx"


@pytest.fixture
def book(tmp_path):
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.title = "Fees"
    for row in (("Berth", "Fee"), ("Q1", 400), ("Q2", 500)):
        sheet.append(row)
    sheet["A2"].comment = Comment("Ask the harbourmaster", "Ann")
    sheet.oddHeader.center.text = "Season prices"
    workbook.save(tmp_path / "a.xlsx")
    return tmp_path / "a.xlsx"


@pytest.fixture
def slides(tmp_path):
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "Launch plan"
    slide.placeholders[1].text = "The crane is booked."
    slide.notes_slide.notes_text_frame.text = "Thank the volunteers."
    presentation.save(tmp_path / "a.pptx")
    return tmp_path / "a.pptx"


def test_comments_and_headers_of_sheets_are_read(book):
    text = text_of(book)
    for words in ("Berth | Fee", "Q1 | 400", "Ask the harbourmaster", "Season prices"):
        assert words in text


def test_text_in_shapes_charts_and_diagrams_is_read(book, word, slides):
    drawing = (
        b'<xdr:wsDr xmlns:xdr="%bdrawingml/2006/spreadsheetDrawing" '
        b'xmlns:a="%bdrawingml/2006/main">'
        b"<a:p><a:r><a:t>Text in a </a:t></a:r><a:r><a:t>box</a:t></a:r></a:p></xdr:wsDr>"
    ) % (OPEN_XML, OPEN_XML)
    chart = (
        b'<c:chart xmlns:c="%bdrawingml/2006/chart"><c:tx><c:strRef><c:strCache><c:pt><c:v>Income'
        b"</c:v></c:pt></c:strCache></c:strRef></c:tx></c:chart>"
    ) % OPEN_XML
    changed(book, same, {"xl/drawings/drawing7.xml": drawing, "xl/charts/chart7.xml": chart})
    assert "Text in a box" in text_of(book)
    assert "Income" in text_of(book)
    diagram = (
        b'<dgm:dataModel xmlns:dgm="%bdrawingml/2006/diagram" xmlns:a="%bdrawingml/2006/main">'
        b"<a:p><a:t>First we measure</a:t></a:p></dgm:dataModel>"
    ) % (OPEN_XML, OPEN_XML)
    for path, folder in ((word, "word"), (slides, "ppt")):
        changed(path, same, {f"{folder}/diagrams/data1.xml": diagram})
        assert "First we measure" in text_of(path)


def test_what_was_read_is_not_repeated(word, slides, book):
    assert text_of(word).count("berth is paid") == 1
    assert text_of(slides).count("Thank the volunteers") == 1
    assert text_of(book).count("Q1") == 1


def test_strict_open_xml_is_read_like_other_files(word, book, slides):
    for path in (word, book, slides):
        before = load(path, Limits())
        changed(path, strict)
        with zipfile.ZipFile(path) as archive:
            assert any(b"purl.oclc.org" in archive.read(name) for name in archive.namelist())
        assert load(path, Limits()).elements == before.elements


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        (".docm", b"application/vnd.ms-word.document.macroEnabled.main+xml"),
        (".dotx", OPEN + b"wordprocessingml.template.main+xml"),
        (".dotm", b"application/vnd.ms-word.template.macroEnabledTemplate.main+xml"),
    ],
)  # fmt: skip
def test_word_with_macros_and_templates(word, suffix, kind):
    plain = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    changed(word, lambda _, content: content.replace(plain, kind))
    document = load(word.rename(word.with_suffix(suffix)), Limits())
    assert (document.title, document.warnings) == ("Mooring rules", ())


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        (".pptm", b"application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml"),
        (".ppsx", OPEN + b"presentationml.slideshow.main+xml"),
        (".potx", OPEN + b"presentationml.template.main+xml"),
    ],
)  # fmt: skip
def test_slides_with_macros_shows_and_templates(slides, suffix, kind):
    plain = b"application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml"
    changed(slides, lambda _, content: content.replace(plain, kind))
    document = load(slides.rename(slides.with_suffix(suffix)), Limits())
    assert (document.title, document.warnings) == ("Launch plan", ())


def test_a_workbook_with_styles_that_nobody_knows_is_read(book):
    changed(book, lambda _, content: content.replace(b"<font>", b'<font odd="1">'))
    changed(book, lambda _, content: content.replace(b"<border>", b'<border what="2"><odd/>'))
    assert "Q1 | 400" in text_of(book)


def test_a_damaged_file_gives_the_text_it_has_and_says_so(word, slides):
    changed(word, lambda name, content: b"no xml" if name == "word/styles.xml" else content)
    document = load(word, Limits())
    assert "The berth is paid in spring." in [element.text for element in document.elements]
    changed(slides, lambda name, content: b"" if name.endswith("presentation.xml") else content)
    document = load(slides, Limits())
    assert "The crane is booked." in [element.text for element in document.elements]
    assert document.warnings[0].startswith("headings and tables: not read")


def test_formulas_without_a_saved_value_are_named(tmp_path):
    workbook = openpyxl.Workbook()
    workbook.active.title = "Sums"
    workbook.active.append(["Total", "=SUM(B2:B9)"])
    workbook.save(tmp_path / "a.xlsx")
    document = load(tmp_path / "a.xlsx", Limits())
    assert document.warnings == ("sheet Sums: 1 formulas without a saved value",)


def test_encrypted_and_renamed_files_say_what_they_are(tmp_path):
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    for suffix in (".docx", ".xlsx", ".pptx"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(ole + "EncryptedPackage".encode("utf-16-le"))
        with pytest.raises(DocumentError, match="encrypted: save a copy"):
            load(path, Limits())
        path.write_bytes(ole)
        with pytest.raises(DocumentError, match="Office 97 under a newer suffix"):
            load(path, Limits())


CONTENT = """<office:document-content
 xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"
 xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"
 xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0">
<office:body>{}</office:body></office:document-content>"""


def opendocument(path, body: str, styles: str = ""):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("content.xml", CONTENT.format(body))
        archive.writestr("styles.xml", CONTENT.format(styles))
    return path


def test_opendocument_text(tmp_path):
    body = """<office:text><text:h text:outline-level="1">Mooring</text:h>
    <text:p>The berth<text:note><text:note-citation>1</text:note-citation><text:note-body>
    <text:p>With electricity.</text:p></text:note-body></text:note> is<text:s/>paid
    <text:span>in spring</text:span>.<office:annotation><text:p>Check this.</text:p>
    </office:annotation></text:p>
    <text:p><draw:frame><draw:text-box><text:p>In a box</text:p></draw:text-box>
    <svg:desc>A crane at work</svg:desc></draw:frame></text:p>
    <text:list><text:list-item><text:p>Ropes</text:p></text:list-item></text:list>
    <table:table><table:table-row><table:table-cell><text:p>Berth</text:p></table:table-cell>
    <table:table-cell><text:p>Fee</text:p></table:table-cell></table:table-row>
    <table:table-row><table:table-cell><text:p>Q1</text:p></table:table-cell>
    <table:table-cell><text:p>400</text:p></table:table-cell></table:table-row></table:table>
    </office:text>"""
    margins = "<text:header><text:p>Club</text:p></text:header>"
    path = opendocument(tmp_path / "a.odt", body, margins)
    assert [(e.kind, e.text) for e in load(path, Limits()).elements] == [
        ("heading", "Mooring"),
        ("text", "The berth is paid in spring."),
        ("text", "In a box"),
        ("text", "A crane at work"),
        ("item", "- Ropes"),
        ("table", "Berth | Fee\nQ1 | 400"),
        ("note", "With electricity."),
        ("note", "Check this."),
        ("note", "Club"),
    ]


def test_opendocument_sheets(tmp_path):
    cell = "<table:table-cell{}><text:p>{}</text:p></table:table-cell>"
    empty = '<table:table-cell table:number-columns-repeated="16000"/>'
    rows = [
        cell.format("", "Berth") + cell.format("", "Fee") + empty,
        cell.format(' table:number-rows-spanned="2"', "Q") + cell.format("", "7.25 %") + empty,
        "<table:covered-table-cell/>" + cell.format("", "00123") + empty,
    ]
    table = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
    table += f'<table:table-row table:number-rows-repeated="90000">{empty}</table:table-row>'
    sheet = f'<office:spreadsheet><table:table table:name="Fees">{table}</table:table>'
    path = opendocument(tmp_path / "a.ods", f"{sheet}</office:spreadsheet>")
    assert [(e.kind, e.text) for e in load(path, Limits()).elements] == [
        ("heading", "Fees"),
        ("table", "Berth | Fee\nQ | 7.25 %\nQ | 00123"),
    ]


def test_opendocument_slides(tmp_path):
    slide = """<draw:page><draw:frame><draw:text-box><text:p>{0} plan</text:p></draw:text-box>
    </draw:frame><draw:frame><draw:text-box><text:p>The {0} is booked.</text:p></draw:text-box>
    </draw:frame><presentation:notes><draw:frame><draw:text-box><text:p>Thank {0}.</text:p>
    </draw:text-box></draw:frame></presentation:notes></draw:page>"""
    body = (
        f"<office:presentation>{slide.format('Crane')}{slide.format('Boat')}</office:presentation>"
    )
    document = load(opendocument(tmp_path / "a.odp", body), Limits())
    assert [(e.kind, e.page, e.text) for e in document.elements] == [
        ("heading", 1, "Crane plan"),
        ("text", 1, "The Crane is booked."),
        ("text", 1, "Thank Crane."),
        ("heading", 2, "Boat plan"),
        ("text", 2, "The Boat is booked."),
        ("text", 2, "Thank Boat."),
    ]


@pytest.mark.parametrize("suffix", [".odt", ".ods", ".odp", ".docx", ".xlsx", ".pptx", ".xls"])
def test_broken_files_are_refused_in_one_line(tmp_path, suffix):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("mimetype", "x")
    for content in (b"no archive at all", whole.getvalue(), whole.getvalue()[:40]):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content)
        with pytest.raises(DocumentError) as caught:
            load(path, Limits())
        assert "\n" not in str(caught.value)
