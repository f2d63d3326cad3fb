"""Text of office files in places that parsers pass over is found, on the page that shows it."""

import docx
import openpyxl
import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Pt

from tests.unit.ingest.test_office import changed, same, text_of
from twotower.ingest.elements import Limits
from twotower.ingest.loaders import load

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
V = 'xmlns:v="urn:schemas-microsoft-com:vml"'
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


@pytest.fixture
def word(tmp_path):
    document = docx.Document()
    document.add_heading("Mooring rules", 1)
    document.add_paragraph("PLACE")
    document.save(tmp_path / "a.docx")
    return tmp_path / "a.docx"


@pytest.fixture
def slides(tmp_path):
    show = pptx.Presentation()
    for title in ("First slide", "Second slide"):
        slide = show.slides.add_slide(show.slide_layouts[5])
        slide.shapes.title.text = title
    show.save(tmp_path / "a.pptx")
    return tmp_path / "a.pptx"


@pytest.fixture
def book(tmp_path):
    workbook = openpyxl.Workbook()
    workbook.active.append(["Berth", "Fee"])
    workbook.save(tmp_path / "a.xlsx")
    return tmp_path / "a.xlsx"


def related(rels: bytes, kind: str, target: str) -> bytes:
    added = f'<Relationship Id="{kind}" Type="{OFFICE}/{kind}" Target="{target}"/></Relationships>'
    return rels.replace(b"</Relationships>", added.encode())


def empty_rels() -> bytes:
    return f'<Relationships xmlns="{RELATIONS}"></Relationships>'.encode()


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        (
            ('<w:sdt><w:sdtPr><w:dropDownList><w:listItem w:displayText="Northern pier"/>'
            "</w:dropDownList></w:sdtPr><w:sdtContent><w:p><w:r><w:t>choose</w:t></w:r></w:p>"
            "</w:sdtContent></w:sdt>"),
            "Northern pier",
        ),
        (
            ("<w:p><w:r><w:fldChar><w:ffData><w:ddList><w:listEntry w:val='Eastern pier'/>"
            "</w:ddList></w:ffData></w:fldChar></w:r></w:p>"),
            "Eastern pier",
        ),
        (
            (f"<w:p><w:r><w:pict><v:shape {V} alt='A chart of the bay'>"
            "<v:textpath string='Confidential copy'/></v:shape></w:pict></w:r></w:p>"),
            "A chart of the bay",
        ),
        (
            (f"<w:p><w:r><w:pict><v:shape {V}><v:textpath string='Confidential copy'/></v:shape>"
            "</w:pict></w:r></w:p>"),
            "Confidential copy",
        ),
    ],
)  # fmt: skip
def test_word(word, xml, expected):
    def with_place(name, content):
        if name != "word/document.xml":
            return content
        return content.replace(b"<w:sectPr", xml.encode() + b"<w:sectPr", 1)

    changed(word, with_place)
    assert expected in text_of(word)


def test_what_was_deleted_is_not_read(word):
    deleted = (
        f"<w:comments {W}><w:comment><w:p><w:del><w:r><w:t>withdrawn</w:t></w:r></w:del></w:p>"
    )
    changed(word, same, {"word/comments9.xml": f"{deleted}</w:comment></w:comments>".encode()})
    assert "withdrawn" not in text_of(word)


def test_slides_have_the_text_of_their_comments_diagrams_and_layout_on_their_page(slides):
    comment = b'<p:cmLst xmlns:p="p"><p:cm><p:text>Ask the divers</p:text></p:cm></p:cmLst>'
    diagram = b'<d:dataModel xmlns:d="d" xmlns:a="a"><a:p><a:t>Survey, then dredge</a:t></a:p>'

    def edited(name, content):
        if name == "ppt/slides/_rels/slide2.xml.rels":
            content = related(content, "comments", "../comments/comment1.xml")
            return related(content, "diagramData", "../diagrams/data1.xml")
        if name == "ppt/slideLayouts/slideLayout6.xml":
            box = b"<p:sp><p:txBody><a:p><a:r><a:t>Harbour office only</a:t></a:r></a:p></p:txBody>"
            return content.replace(b"</p:spTree>", box + b"</p:sp></p:spTree>")
        if name == "ppt/slideLayouts/slideLayout3.xml":
            return content.replace(b"Click to edit", b"Nobody uses this")
        return content

    changed(
        slides,
        edited,
        {"ppt/comments/comment1.xml": comment, "ppt/diagrams/data1.xml": diagram},
    )
    pages = {element.text: element.page for element in load(slides, Limits()).elements}
    assert (pages["Ask the divers"], pages["Survey, then dredge"]) == (2, 2)
    assert pages["Harbour office only"] == 1
    assert not any("Click to edit" in text or "Nobody" in text for text in pages)


def test_workbooks_have_hints_choices_and_threaded_comments(book):
    sheet = b"<dataValidations><dataValidation prompt='Metres at low water'><formula1>"
    sheet += b'"shallow,abyssal"</formula1></dataValidation></dataValidations>'
    thread = b"<ThreadedComments><threadedComment><text>Measured by Ann</text></threadedComment>"
    button = b"<xml xmlns:v='v'><v:shape><v:textbox><div><font>Recalculate all</font></div>"
    button += b"</v:textbox></v:shape></xml>"

    def edited(name, content):
        if name != "xl/worksheets/sheet1.xml":
            return content
        return content.replace(b"<pageMargins", sheet + b"<pageMargins")

    changed(
        book,
        edited,
        {
            "xl/threadedComments/threadedComment1.xml": thread + b"</ThreadedComments>",
            "xl/drawings/vmlDrawing1.vml": button,
        },
    )
    text = text_of(book)
    for words in ("Metres at low water", "abyssal", "Measured by Ann", "Recalculate all"):
        assert words in text


def test_embedded_files_are_read_or_named(word, book):
    content = book.read_bytes()

    def edited(name, part):
        if name != "word/_rels/document.xml.rels":
            return part
        part = related(part, "package", "embeddings/fees.xlsx")
        return related(part, "oleObject", "embeddings/object1.bin")

    changed(
        word, edited, {"word/embeddings/fees.xlsx": content, "word/embeddings/object1.bin": b"x"}
    )
    document = load(word, Limits())
    assert "Berth | Fee" in [element.text for element in document.elements]
    assert [w for w in document.warnings if "object1.bin" in w] == [
        "embedded file object1.bin: no loader reads '.bin' files"
    ]


def test_the_data_of_a_chart_are_no_embedded_file(word):
    rels = related(empty_rels(), "package", "../embeddings/Sheet1.xlsx")
    changed(
        word, same, {"word/charts/_rels/chart1.xml.rels": rels, "word/embeddings/Sheet1.xlsx": b""}
    )
    assert load(word, Limits()).warnings == ()


def test_a_damaged_part_is_named_and_the_others_are_read(word):
    comments = f"<w:comments {W}><w:p><w:r><w:t>UNDAMAGED</w:t></w:r></w:p></w:comments>"
    changed(word, same, {"word/comments9.xml": comments.encode()})
    content = word.read_bytes()
    word.write_bytes(content.replace(b"UNDAMAGED", b"UNDAMAGEX"))  # its checksum is wrong now
    assert b"UNDAMAGEX" in word.read_bytes()
    document = load(word, Limits())
    assert any("word/comments9.xml" in warning for warning in document.warnings)
    assert any("PLACE" in element.text for element in document.elements)


def test_a_chart_of_an_unknown_kind_costs_no_heading(tmp_path):
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes.title.text = "Catches"
    data = CategoryChartData()
    data.categories = ["Herring", "Cod"]
    data.add_series("Tonnes", (1, 2))
    slide.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, 0, 0, 99, 99, data)
    show.save(tmp_path / "a.pptx")

    def edited(name, content):
        return content.replace(b"barChart", b"area3DChart") if "charts/chart" in name else content

    changed(tmp_path / "a.pptx", edited)
    document = load(tmp_path / "a.pptx", Limits())
    assert document.warnings == ()
    kinds = {element.text: element.kind for element in document.elements}
    assert kinds["Catches"] == "heading"
    assert {"Herring", "Cod", "Tonnes"} <= set(kinds)


def test_relations_to_parts_that_do_not_exist_cost_nothing(word, slides, book):
    for path in (word, slides, book):
        before = load(path, Limits())
        changed(
            path,
            lambda name, part: related(part, "image", "NULL") if name.endswith(".rels") else part,
        )
        assert load(path, Limits()) == before


def test_short_bold_and_large_paragraphs_are_headings_where_no_style_marks_any(tmp_path):
    document = docx.Document()
    document.add_paragraph().add_run("Berths").font.size = Pt(20)
    document.add_paragraph().add_run("Winter").bold = True
    document.add_paragraph().add_run("Boats lie on the northern pier until the ice has gone.")
    document.add_paragraph().add_run("It is cold.").bold = True
    document.save(tmp_path / "a.docx")
    kinds = {e.text: (e.kind, e.level) for e in load(tmp_path / "a.docx", Limits()).elements}
    assert kinds["Berths"] == ("heading", 1)
    assert kinds["Winter"] == ("heading", 2)
    assert kinds["It is cold."] == ("text", 0)
