from pathlib import Path

import pytest

from ingest.elements import Limits
from ingest.loaders import FORMATS, load, read_text
from ingest.loaders.isolation import Workers
from retrieval.errors import DocumentError

HANDBOOK = Path(__file__).resolve().parents[3] / "examples" / "handbook"


@pytest.fixture(scope="module")
def read():
    """Loaders run in a worker, as they do in the product."""
    with Workers(1, seconds=60, memory_mb=4096) as workers:
        yield lambda path: workers.result(workers.submit(load, Path(path), Limits()))


def of_kind(document, kind: str) -> list[str]:
    return [element.text for element in document.elements if element.kind == kind]


@pytest.mark.parametrize(
    ("name", "title", "heading", "phrase"),
    [
        ("policies/travel-policy-2025.md", "Travel policy (2025 edition)", None, "finance"),
        ("policies/warranty-terms.html", "Warranty terms for pumps and controllers", None, "March"),
        ("hr/employee-handbook.docx", "Employee handbook", "1.2 How we decide", "cooperative"),
        ("products/kestrel-32-launch.pptx", "Kestrel 32: sales launch", "Who it is for", "sand"),
        ("finance/budget-2025.xlsx", "budget-2025", "Departments", "Budget 2025 EUR"),
        ("products/parts-catalogue.csv", "parts-catalogue", None, "XK-2041/b"),
        ("products/part-supersessions.tsv", "part-supersessions", None, "XK-"),
        ("support/2025-03-24-water-board-e03.eml",
         "Re: Re: HT-5166 Kestrel 32 stops every afternoon", None, "From: Jun Halloway"),
        ("hr/apprentice-guide.epub", "Before the first chip", "Measuring", "apprentices"),
        ("it/workshop-tablets.rst", "Workshop tablets", "Known trouble", "WT-01"),
        ("meetings/2025-05-20-heron-5-design-review.org", None, "Design choices", "counterweight"),
        ("hr/job-posting-machinist.rtf", "job-posting-machinist", None, "lathe 4"),
        ("it/equipment-register.xml", "equipment-register", None, "File server"),
        ("products/product-range.json", "product-range", None, "Heron 4"),
        ("finance/invoice-handling.txt", None, None, "invoice"),
    ],
)  # fmt: skip
def test_each_format_gives_title_headings_and_text(read, name, title, heading, phrase):
    document = read(HANDBOOK / name)
    assert document.title == title or (title is None and document.title.strip())
    if heading:
        assert heading in of_kind(document, "heading")
    assert phrase in "\n".join(element.text for element in document.elements)


def test_markdown_keeps_tables_lists_and_code(read, tmp_path):
    (tmp_path / "a.md").write_text(
        "---\ntitle: From the front\n---\n# One\n\nText.\n\n| Part | Torque |\n|---|---|\n"
        "| XK-1 | 40 Nm |\n\n- first\n- second\n\n```\nx = 1\ny = 2\n```\n"
    )
    document = read(tmp_path / "a.md")
    assert document.title == "From the front"
    assert of_kind(document, "table") == ["Part | Torque\nXK-1 | 40 Nm"]
    assert of_kind(document, "item") == ["- first", "- second"]
    assert of_kind(document, "lines") == ["x = 1\ny = 2"]


def test_the_navigation_of_a_page_is_no_text(read, tmp_path):
    (tmp_path / "a.html").write_text(
        "<html><head><title>Named</title><script>evil()</script></head><body><nav>Home | Shop</nav>"
        "<main><h1>Care</h1><p>Oil it every spring, before the first rain comes.</p></main>"
        "<footer>Imprint</footer></body></html>"
    )
    document = read(tmp_path / "a.html")
    assert document.title == "Named"
    text = "\n".join(element.text for element in document.elements)
    assert text == "Care\nOil it every spring, before the first rain comes."


def test_a_table_keeps_its_values_as_written(read, tmp_path):
    (tmp_path / "a.csv").write_text('Code,Price,Note\n00123,12.50,\nXK-1,7,"seal, viton"\n')
    (table,) = of_kind(read(tmp_path / "a.csv"), "table")
    assert table == "Code | Price | Note\n00123 | 12.50\nXK-1 | 7 | seal, viton"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "cp1252"])
def test_text_is_decoded_whatever_its_encoding(tmp_path, encoding):
    text = "Die Prüfung der Geräte für Überdruck erfolgt jährlich im März.\nGröße und Höhe stimmen."
    (tmp_path / "a.txt").write_text(text, encoding=encoding)
    assert read_text(tmp_path / "a.txt") == text


def test_a_binary_file_is_not_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(DocumentError) as caught:
        read_text(tmp_path / "a.txt")
    assert caught.value.kind == "binary"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.docx", b"PK\x03\x04 not a zip file", "malformed"),
        ("a.xlsx", b"no workbook", "malformed"),
        ("a.pptx", b"no slides", "malformed"),
        ("a.epub", b"no book", "malformed"),
        ("a.md", b" \n\n ", "no-text"),
        ("a.html", b"<html><body></body></html>", "no-text"),
        ("a.csv", b"\n", "no-text"),
    ],
)
def test_what_cannot_be_read_says_why_in_one_line(read, tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        read(tmp_path / name)
    assert caught.value.kind == kind
    assert "\n" not in str(caught.value)


def test_suffixes_are_unique_and_lower_case():
    suffixes = [suffix for f in set(FORMATS.values()) for suffix in f.suffixes]
    assert len(suffixes) == len(set(suffixes)) == len(FORMATS)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)
