from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from ingest.elements import Limits
from ingest.loaders.pdf import load_pdf
from retrieval.errors import DocumentError
from tests.hostile import write_unreadable_pdfs

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
                body(670, "A second paragraph stands here."),
            ]
        ],
    )
    document = load_pdf(file, Limits())
    assert kinds(document) == [
        ("heading", 1, "Pump manual"),
        ("heading", 2, "Torque"),
        ("text", 0, f"{PROSE} and opens when it falls."),
        ("text", 0, "A second paragraph stands here."),
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
        "lines",
        0,
        "Part | Thread | Torque\nXK-2041/b | - | 40 Nm\n- M8 | 50 Nm",
    )


def test_running_headers_and_page_numbers_are_dropped(tmp_path):
    pages = [
        [
            body(810, "Tarnwick Works"),
            body(400, f"Text of page {n}: {PROSE}"),
            body(30, f"Page {n}"),
        ]
        for n in range(1, 5)
    ]
    document = load_pdf(draw(tmp_path / "a.pdf", pages), Limits())
    assert [e.text for e in document.elements] == [
        f"Text of page {n}: {PROSE}" for n in range(1, 5)
    ]
    assert [e.page for e in document.elements] == [1, 2, 3, 4]


def test_what_differs_by_more_than_the_page_is_no_running_line(tmp_path):
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


def test_a_page_of_one_line_keeps_it(tmp_path):
    pages = [[body(400, f"Slide {n}")] for n in (1, 2, 3)]
    document = load_pdf(draw(tmp_path / "a.pdf", pages), Limits())
    assert [e.text for e in document.elements] == ["Slide 1", "Slide 2", "Slide 3"]


def test_the_box_of_each_line_is_kept(tmp_path):
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


def test_a_word_divided_at_a_line_end_is_mended():
    document = load_pdf(HANDBOOK / "hr" / "newsletter-spring-2025.pdf", Limits())
    assert all("\x02" not in e.text for e in document.elements)


def test_the_pages_of_the_manual():
    document = load_pdf(HANDBOOK / "products" / "heron-4-manual.pdf", Limits())
    assert document.pages == 7
    assert {e.page for e in document.elements} == set(range(1, 8))
    assert {e.level for e in document.elements if e.kind == "heading"} >= {1, 2, 3}


def refused(path: Path, limits: Limits = Limits()) -> str:  # noqa: B008 - frozen
    with pytest.raises(DocumentError) as caught:
        load_pdf(path, limits)
    return caught.value.kind


def test_what_cannot_be_read_says_why(tmp_path):
    write_unreadable_pdfs(tmp_path)
    assert refused(tmp_path / "blank.pdf") == "no-text"
    assert refused(tmp_path / "locked.pdf") == "encrypted"
    assert refused(tmp_path / "broken.pdf") == "malformed"
    assert refused(HANDBOOK / "products" / "heron-4-manual.pdf", Limits(max_pages=6)) == "too-large"
