from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from tests.hostile import write_unreadable_pdfs
from twotower.ingest.elements import Limits
from twotower.ingest.loaders import ocr
from twotower.ingest.loaders.pdf import load_pdf
from twotower.ingest.loaders.pdf.lines import Cell, Line
from twotower.ingest.loaders.pdf.running import without_running_lines
from twotower.retrieval.vocabulary.errors import DocumentError

HANDBOOK = Path(__file__).resolve().parents[3] / "examples" / "handbook"
PROSE = "Water rises in the pipe when the piston moves and the valve below it is shut tight"


def draw(path: Path, pages: list[list[tuple[float, float, str, int, str]]]) -> Path:
    """Draw text at (x, y) in points, in a font and a size."""
    canvas = Canvas(str(path), pagesize=A4)
    for page in pages:
        for x, y, font, size, text in page:
            canvas.setFont(font, size)
            canvas.drawString(x, y, text)
        canvas.showPage()
    canvas.save()
    return path


def body(y: float, text: str, x: float = 60) -> tuple[float, float, str, int, str]:
    return (x, y, "Helvetica", 10, text)


def kinds(document) -> list[tuple[str, int, str]]:
    return [(e.kind, e.level, e.text) for e in document.elements]


def test_headings_come_from_size_and_weight(tmp_path):
    file = draw(
        tmp_path / "a.pdf",
        [
            [
                (60, 760, "Helvetica", 18, "Pump manual"),
                (60, 730, "Helvetica-Bold", 10, "Torque"),
                body(710, PROSE),
                body(698, "and opens when it falls."),
                body(670, "A second paragraph follows."),
            ]
        ],
    )
    document = load_pdf(file, Limits())
    assert kinds(document) == [
        ("heading", 1, "Pump manual"),
        ("heading", 2, "Torque"),
        ("text", 0, f"{PROSE} and opens when it falls."),
        ("text", 0, "A second paragraph follows."),
    ]
    assert document.title == "Pump manual"
    assert document.pages == 1


def test_cells_of_a_row_are_kept_apart(tmp_path):
    rows = [("Part", "Torque"), ("XK-2041/b", "40 Nm"), ("-", "50 Nm")]
    middle = ["Thread", "-", "M8"]
    page = [body(760, PROSE)]
    for n, (left, right) in enumerate(rows):
        page += [body(700 - 14 * n, left), body(700 - 14 * n, right, x=300)]
        page += [body(700 - 14 * n, middle[n], x=200)]
    document = load_pdf(draw(tmp_path / "a.pdf", [page]), Limits())
    assert kinds(document)[1] == (
        "table",
        0,
        "Part | Thread | Torque\nXK-2041/b | - | 40 Nm\n- M8 | 50 Nm",
    )


def test_running_headers_are_read_once_and_page_numbers_not_at_all(tmp_path):
    pages = [
        [
            body(810, "Tarnwick Works"),
            body(400, f"Text of page {n}: {PROSE}"),
            body(30, f"Page {n} of 4"),
        ]
        for n in range(1, 5)
    ]
    document = load_pdf(draw(tmp_path / "a.pdf", pages), Limits())
    assert [(e.page, e.text) for e in document.elements] == [
        (1, "Tarnwick Works"),
        *((n, f"Text of page {n}: {PROSE}") for n in range(1, 5)),
    ]


@pytest.mark.parametrize("counter", ["Seite {} von 6", "- {} -", "{}/6", "Tarnwick | {}", "第{}页"])
def test_page_counters_of_many_kinds_are_dropped(counter):
    def line(page: int, top: float, text: str) -> Line:
        return Line(text, 50, top - 10, 300, top, 10, 400, False, (Cell(text, 50, 300),), page)

    pages = [
        [line(n, 800, counter.format(n)), line(n, 500, PROSE), line(n, 60, f"Body {n}")]
        for n in range(1, 7)
    ]
    kept = without_running_lines(pages)
    dropped = 6 if "Tarnwick" not in counter else 5
    assert sum(map(len, kept)) == 18 - dropped


def test_titles_and_rows_at_the_edge_of_a_page_are_no_running_lines(tmp_path):
    columns = (60, 200, 340)

    def row(y: float, *cells: str):
        return [body(y, cell, x) for x, cell in zip(columns, cells, strict=True)]

    pages = [
        [
            *row(800, "Employee", "Monday", "Tuesday"),
            *row(786, f"Person {3 * n}", "early", "late"),
            *row(772, f"Person {3 * n + 1}", "late", "free"),
            body(400, PROSE),
            body(60, f"Step {n}"),
        ]
        for n in range(1, 5)
    ]
    document = load_pdf(draw(tmp_path / "a.pdf", pages), Limits())
    text = "\n".join(e.text for e in document.elements)
    assert text.count("Employee | Monday | Tuesday") == 4
    assert [f"Step {n}" in text for n in range(1, 5)] == [True] * 4
    assert all(f"Person {3 * n + k}" in text for n in range(1, 5) for k in (0, 1))


def test_a_line_that_repeats_at_other_heights_is_no_running_line(tmp_path):
    pages = [
        [body(820 - 8 * n, "Signed by Maren Holt"), body(400, PROSE), body(30, f"Body {n} end")]
        for n in range(1, 5)
    ]
    document = load_pdf(draw(tmp_path / "a.pdf", pages), Limits())
    text = "\n".join(e.text for e in document.elements)
    assert text.count("Signed by Maren Holt") == 4


def test_a_line_that_differs_by_more_than_the_page_number_is_not_dropped(tmp_path):
    pages = [
        [
            body(800, f"Invoice number {4710 + n}"),
            body(400, PROSE),
            body(30, f"Total {100 + n} EUR"),
        ]
        for n in (1, 2)
    ]
    document = load_pdf(draw(tmp_path / "a.pdf", pages), Limits())
    text = "\n".join(e.text for e in document.elements)
    for part in ("4711", "4712", "101 EUR", "102 EUR"):
        assert part in text


def test_the_only_line_of_a_page_is_not_dropped(tmp_path):
    pages = [[body(400, f"Slide {n}")] for n in (1, 2, 3)]
    document = load_pdf(draw(tmp_path / "a.pdf", pages), Limits())
    assert [e.text for e in document.elements] == ["Slide 1", "Slide 2", "Slide 3"]


def test_each_line_has_its_box(tmp_path):
    (element,) = load_pdf(draw(tmp_path / "a.pdf", [[body(700, PROSE), body(688, "Short.")]]),
                          Limits()).elements  # fmt: skip
    first, second = element.lines
    assert element.text[first.start : first.end] == PROSE
    assert element.text[second.start : second.end] == "Short."
    assert (first.left, second.left) == (pytest.approx(60, abs=2), pytest.approx(60, abs=2))
    assert 695 < first.bottom < first.top < 712
    assert second.top < first.bottom


def test_two_columns_drawn_across_are_read_one_after_the_other(tmp_path):
    left = [f"Left column line number {n} has words" for n in range(12)]
    right = [f"Right column line number {n} has words" for n in range(12)]
    page = []
    for n in range(12):
        page += [body(700 - 12 * n, left[n]), body(698 - 12 * n, right[n], x=310)]
    text = load_pdf(draw(tmp_path / "a.pdf", [page]), Limits()).elements
    joined = " ".join(" ".join(e.text for e in text).split())
    assert joined == " ".join([*left, *right])


def test_the_columns_of_the_newsletter_are_not_mixed():
    document = load_pdf(HANDBOOK / "hr" / "newsletter-spring-2025.pdf", Limits())
    headings = [e.text for e in document.elements if e.kind == "heading" and e.page == 1]
    assert headings.index("Canteen") < headings.index("Choir") < headings.index("People")


def test_a_word_divided_at_a_line_end_is_joined():
    document = load_pdf(HANDBOOK / "hr" / "newsletter-spring-2025.pdf", Limits())
    assert all("\x02" not in e.text for e in document.elements)


def test_elements_have_the_pages_and_heading_levels_of_the_manual():
    document = load_pdf(HANDBOOK / "products" / "heron-4-manual.pdf", Limits())
    assert document.pages == 7
    assert {e.page for e in document.elements} == set(range(1, 8))
    assert {e.level for e in document.elements if e.kind == "heading"} >= {1, 2, 3}


def refused(path: Path, limits: Limits = Limits()) -> str:  # noqa: B008 - frozen
    with pytest.raises(DocumentError) as caught:
        load_pdf(path, limits)
    return caught.value.kind


def test_a_pdf_that_cannot_be_read_has_a_reason(tmp_path):
    write_unreadable_pdfs(tmp_path)
    assert refused(tmp_path / "blank.pdf") == "no-text"
    assert refused(tmp_path / "locked.pdf") == "encrypted"
    assert refused(tmp_path / "broken.pdf") == "malformed"
    assert refused(HANDBOOK / "products" / "heron-4-manual.pdf", Limits(max_pages=6)) == "too-large"


def test_forms_and_comments_are_read(tmp_path):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.drawString(60, 760, "Application for a mooring")
    canvas.acroForm.textfield(name="boat", value="Albatross", x=60, y=700)
    canvas.acroForm.textfield(name="empty", x=60, y=650)
    canvas.acroForm.checkbox(name="paid", checked=True, x=60, y=600)
    canvas.acroForm.checkbox(name="insured", checked=False, x=60, y=550)
    canvas.acroForm.choice(
        name="berth", value="North 14", options=["North 14", "South 2"], x=60, y=500
    )
    canvas.textAnnotation("Ask Ann first", Rect=[60, 400, 80, 420])
    canvas.save()
    document = load_pdf(tmp_path / "a.pdf", Limits())
    assert [element.text for element in document.elements] == [
        "Application for a mooring",
        "boat: Albatross",
        "paid: Yes",
        "berth: North 14",
        "Ask Ann first",
    ]


def test_a_page_that_is_a_picture_is_recognised_or_named(tmp_path):
    picture = Image.new("RGB", (1200, 300), "white")
    draw_on = ImageDraw.Draw(picture)
    draw_on.text((40, 80), "The rent is 845 crowns", fill="black", font_size=70)
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.drawString(60, 760, "Cover letter")
    canvas.showPage()
    canvas.drawInlineImage(picture, 60, 500, 480, 120)
    canvas.showPage()
    canvas.showPage()  # blank: nothing to read
    canvas.save()
    if ocr.engines("auto"):
        document = load_pdf(tmp_path / "a.pdf", Limits())
        assert (2, "The rent is 845 crowns") in [(e.page, e.text) for e in document.elements]
        assert document.warnings == ()
    document = load_pdf(tmp_path / "a.pdf", Limits(ocr="none"))
    assert [e.text for e in document.elements] == ["Cover letter"]
    assert document.warnings == (f"page 2: pictures without text ({ocr.remedy('none')})",)


def test_words_that_line_ends_cut_are_joined_and_compounds_keep_their_hyphen(tmp_path):
    lines = [
        "The manufacturer guarantees the interoper-",
        "ability of the state-of-the-",
        "art device. It is a well-",
        "known rule. The Anhängerkupp-",
        "lung and the long-",
        "term plan. An Anhängerkupplung. Between 5-",
        "10 degrees, see anna-",
        "maria@example.org, part AB-",
        "1234.",
    ]
    page = [body(700 - 12 * n, line) for n, line in enumerate(lines)]
    text = " ".join(load_pdf(draw(tmp_path / "a.pdf", [page]), Limits()).elements[0].text.split())
    assert text == (
        "The manufacturer guarantees the interoperability of the state-of-the-art device. "
        "It is a well-known rule. The Anhängerkupplung and the long-term plan. "
        "An Anhängerkupplung. Between 5-10 degrees, see anna-maria@example.org, part AB-1234."
    )


def test_a_word_that_the_end_of_a_page_cuts_is_whole_on_the_first_page(tmp_path):
    first = [body(700, PROSE), body(688, "and it stops when the pres-")]
    second = [body(700, "sure is lost in the pipe. " + PROSE)]
    document = load_pdf(draw(tmp_path / "a.pdf", [first, second]), Limits())
    assert document.elements[0].text.endswith("stops when the pressure")
    assert document.elements[1].text.startswith("is lost in the pipe. Water")
    for element in document.elements:
        assert all(0 <= box.start < box.end <= len(element.text) for box in element.lines)


def test_a_superscript_is_a_note_or_a_part_of_the_word(tmp_path):
    path = tmp_path / "a.pdf"
    canvas = Canvas(str(path))
    text = canvas.beginText(60, 700)
    for raised, part in [
        (False, "The warranty"), (True, "3"), (False, " covers 10"), (True, "5"), (False, " m"),
        (True, "2"), (False, " of fabric and no more."),
    ]:  # fmt: skip
        text.setFont("Helvetica", 7 if raised else 11)
        text.setRise(4 if raised else 0)
        text.textOut(part)
    canvas.drawText(text)
    canvas.setFont("Helvetica", 5)
    canvas.drawString(60, 603, "3")
    canvas.setFont("Helvetica", 9)
    canvas.drawString(64, 600, "Without wear parts.")
    canvas.save()
    lines = [element.text for element in load_pdf(path, Limits()).elements]
    assert lines == [
        "The warranty 3 covers 10⁵ m2 of fabric and no more.",
        "3 Without wear parts.",
    ]


def test_a_table_goes_on_on_the_next_page_with_the_names_of_its_columns(tmp_path):
    def rows(numbers):
        for at, n in enumerate(numbers):
            yield from (body(700 - 14 * at, f"Q{n}"), body(700 - 14 * at, f"{n}.5", x=200))
            yield body(700 - 14 * at, f"{400 + n}", x=330)

    head = [body(714, "Berth"), body(714, "Length m", x=200), body(714, "Fee crowns", x=330)]
    pages = [[*head, *rows(range(1, 9))], list(rows(range(9, 15)))]
    document = load_pdf(draw(tmp_path / "a.pdf", pages), Limits())
    first, second = (element.text.splitlines() for element in document.elements)
    assert first[:2] == ["Berth | Length m | Fee crowns", "Q1 | 1.5 | 401"]
    assert second[:2] == ["Berth | Length m | Fee crowns", "Q9 | 9.5 | 409"]
    boxes = document.elements[1].lines
    assert document.elements[1].text[boxes[0].start : boxes[0].end] == "Q9 | 9.5 | 409"


def test_a_label_of_a_row_that_is_cut_at_a_hyphen_is_joined(tmp_path):
    page = [body(700, "Net income of non-"), body(688, "controlling interests")]
    page += [body(688, "3", x=300), body(688, "4", x=400)]
    document = load_pdf(draw(tmp_path / "a.pdf", [page]), Limits())
    assert [e.text for e in document.elements] == [
        "Net income of non-controlling interests | 3 | 4"
    ]
