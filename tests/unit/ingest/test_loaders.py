from email.message import EmailMessage
from pathlib import Path

import pytest
from aspose.email_foss.msg import MapiMessage

from twotower.ingest.elements import Limits
from twotower.ingest.loaders import FORMATS, load
from twotower.ingest.loaders.isolation import Workers
from twotower.ingest.loaders.text import read_text
from twotower.retrieval.vocabulary.errors import DocumentError

HANDBOOK = Path(__file__).resolve().parents[3] / "examples" / "handbook"


@pytest.fixture(scope="module")
def read():
    """Function that reads a file in a worker process, as the product does."""
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
        ("hr/apprentice-guide.epub", "Apprentice guide", "Measuring", "apprentices"),
        ("it/workshop-tablets.rst", "Workshop tablets", "Known trouble", "WT-01"),
        ("meetings/2025-05-20-heron-5-design-review.org", None, "Design choices", "counterweight"),
        ("hr/job-posting-machinist.rtf", "Job posting: CNC machinist", None, "lathe 4"),
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


def test_a_menu_of_links_is_not_read_and_other_text_around_the_page_is(read, tmp_path):
    links = "".join(f"<li><a href='/{name}'>{name}</a></li>" for name in ("Home", "Shop", "Help"))
    (tmp_path / "a.html").write_text(
        f"<html><head><title>Named</title><script>evil()</script></head><body><nav>{links}</nav>"
        "<header>Closed on Mondays</header><main><h1>Care</h1><p>Oil it every spring.</p></main>"
        f"<footer>{links}</footer><footer>Call Ann in the yard</footer></body></html>"
    )
    document = read(tmp_path / "a.html")
    assert document.title == "Named"
    text = "\n".join(element.text for element in document.elements)
    assert text == "Closed on Mondays\nCare\nOil it every spring.\nCall Ann in the yard"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<form><h1>Boiler</h1><label>Contact</label><input value='Ann'></form>",
         ["Boiler", "Contact Ann"]),
        ("<select><option>North 14<option>South 2</select>", ["North 14 South 2"]),
        ("<h1>Reset</h1><p>Hold it.</p><main>Thanks!</main><p>42 months</p>",
         ["Reset", "Hold it.", "Thanks!", "42 months"]),
        ("<table><tr><th>Model<th>Price<tr><td rowspan=2>Falcon<td>100<tr><td>200</table>",
         ["Model | Price\nFalcon | 100\nFalcon | 200"]),
        ("<table><tr><th>A<th colspan=2>B<tr><td>1<td>2<td>3</table>", ["A | B | B\n1 | 2 | 3"]),
        ("<table><tr><td><h1>Layout</h1><p>Left</p><td>Right</table>", ["Layout", "Left", "Right"]),
        ("<table><tr><td>a<td>b<tr><td><td></table>", ["a | b"]),
        ("<p>See <img alt='the red wire'> there</p>", ["See the red wire there"]),
        ("<p>The warranty<sup>3</sup> of H<sub>2</sub>O and m<sup>2</sup></p>",
         ["The warranty 3 of H2O and m2"]),
        ("<ol start=3><li>three<li>four<ul><li>inside</ul></ol>",
         ["3. three", "4. four", "- inside"]),
        ("<details><summary>More</summary>Hidden at first</details>", ["More", "Hidden at first"]),
        ("<pre>a\n  b</pre>one<br>two<!-- no -->!", ["a\n  b", "one\ntwo!"]),
        ("<nav><a>a</a><a>b</a><a>c</a></nav>", ["abc"]),
    ],
)  # fmt: skip
def test_what_a_reader_of_a_web_page_sees_is_read(read, tmp_path, body, expected):
    (tmp_path / "a.html").write_text(f"<html><body>{body}</body></html>")
    assert [element.text for element in read(tmp_path / "a.html").elements] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("If x<p the pump stops. If y>q it starts.", ["If x<p the pump stops. If y>q it starts."]),
        ("Use List<String> and <PART-NO>.", ["Use List<String> and <PART-NO>."]),
        ("Fill in <form> number 7.\n\nThe end.", ["Fill in <form> number 7.", "The end."]),
        ("<script> is a tag\n\nThe end.", ["<script> is a tag", "The end."]),
        ("See [[Pump room|the room]] and [[Crane]].", ["See the room and Crane."]),
        ("> [!warning] Hot\n> Do not touch", ["Warning: Hot Do not touch"]),
        ("3. three\n4. four", ["3. three", "4. four"]),
        ("Take:\n- a rope", ["Take:", "- a rope"]),
        ("Ropes expire[^1].\n\n[^1]: In2031", ["Ropes expire[^1].", "[^1]: In2031"]),
        ("---\ntitle: Log\ndate created: 2024\n---\nText", ["Text"]),
        ("---\n\nNot: a key\n\n---\n\nText", ["Not: a key", "Text"]),
    ],
)
def test_markdown_is_read_as_its_readers_see_it(read, tmp_path, text, expected):
    (tmp_path / "a.md").write_text(text)
    assert [element.text for element in read(tmp_path / "a.md").elements] == expected


def test_a_table_keeps_its_values_as_written(read, tmp_path):
    (tmp_path / "a.csv").write_text('Code,Price,Note\n00123,12.50,\nXK-1,7,"seal, viton"\n')
    (table,) = of_kind(read(tmp_path / "a.csv"), "table")
    assert table == "Code | Price | Note\n00123 | 12.50\nXK-1 | 7 | seal, viton"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "cp1252"])
def test_text_is_decoded_in_any_encoding(tmp_path, encoding):
    text = "Die Prüfung der Geräte für Überdruck erfolgt jährlich im März.\nGröße und Höhe stimmen."
    (tmp_path / "a.txt").write_text(text, encoding=encoding)
    assert read_text(tmp_path / "a.txt") == text


def test_a_binary_file_is_refused_as_text(tmp_path):
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
def test_a_file_that_cannot_be_read_has_a_reason_in_one_line(read, tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        read(tmp_path / name)
    assert caught.value.kind == kind
    assert "\n" not in str(caught.value)


def test_suffixes_are_unique_and_lower_case():
    suffixes = [suffix for f in set(FORMATS.values()) for suffix in f.suffixes]
    assert len(suffixes) == len(set(suffixes)) == len(FORMATS)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)


def mail_with(
    *attachments: tuple[str, bytes], plain: str = "See it.", html: str = ""
) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Quotation"
    message.set_content(plain)
    if html:
        message.add_alternative(html, subtype="html")
    for name, data in attachments:
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return message


def test_attachments_of_outlook_mail_are_read_and_others_named(read, tmp_path):
    message = MapiMessage.create("Cranes", "Two offers are attached.")
    message.add_attachment("offer.txt", b"The second offer is for 40 tonnes.")
    message.add_attachment("drawing.dwg", b"x")
    message.save(str(tmp_path / "a.msg"))
    document = read(tmp_path / "a.msg")
    texts = [element.text for element in document.elements]
    assert texts[1:] == [
        "Two offers are attached.",
        "Attachment: offer.txt",
        "The second offer is for 40 tonnes.",
        "Attachment: drawing.dwg",
    ]
    assert (document.title, document.warnings) == (
        "Cranes",
        ("attachment drawing.dwg: no loader reads '.dwg' files",),
    )


def test_a_binary_file_is_no_mail(read, tmp_path):
    (tmp_path / "a.eml").write_bytes(b"\0PK broken")
    with pytest.raises(DocumentError, match="the file is not a mail"):
        read(tmp_path / "a.eml")


def test_a_file_that_is_no_outlook_mail_is_refused_in_one_line(read, tmp_path):
    (tmp_path / "a.msg").write_bytes(b"not a mail")
    with pytest.raises(DocumentError, match="not an Outlook mail"):
        read(tmp_path / "a.msg")


def test_attachments_are_read_as_parts_of_the_mail_and_others_named(read, tmp_path):
    inner = mail_with(("terms.txt", b"Delivery takes eleven weeks."))
    message = mail_with(
        ("prices.csv", b"Item,Fee\nCrane,40\n"), ("tool.exe", b"MZ"), ("bad.pdf", b"x")
    )
    message.add_attachment(inner)
    (tmp_path / "a.eml").write_bytes(bytes(message))
    document = read(tmp_path / "a.eml")
    text = [(element.kind, element.text) for element in document.elements]
    assert ("heading", "Attachment: prices.csv") in text
    assert ("table", "Item | Fee\nCrane | 40") in text
    assert ("text", "Delivery takes eleven weeks.") in text
    assert [warning.partition(": ")[0] for warning in document.warnings] == [
        "attachment tool.exe",
        "attachment bad.pdf",
    ]


@pytest.mark.parametrize(
    ("plain", "html", "expected"),
    [
        (" ", "<p>The crane is out of order</p>", "The crane is out of order"),
        (
            "Open in a browser",
            f"<p>{'The gate opens at nine. ' * 9}</p>",
            "The gate opens at nine.",
        ),
        ("The gate opens at nine.", "<p>The gate opens at nine!</p>", "The gate opens at nine."),
    ],
)
def test_the_part_of_a_mail_with_the_text_is_read(read, tmp_path, plain, html, expected):
    (tmp_path / "a.eml").write_bytes(bytes(mail_with(plain=plain, html=html)))
    assert read(tmp_path / "a.eml").elements[-1].text.startswith(expected)


def test_text_after_an_inline_picture_is_read(read, tmp_path):
    boundary = (
        "Subject: a\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\n"
        "--B\nContent-Type: text/plain\n\nBefore it.\n--B\nContent-Type: image/png\n\nxx\n"
        "--B\nContent-Type: text/plain\n\nAfter it.\n--B--\n"
    )
    (tmp_path / "a.eml").write_text(boundary)
    texts = [element.text for element in read(tmp_path / "a.eml").elements]
    assert texts[-2:] == ["Before it.", "After it."]


@pytest.mark.parametrize(
    ("charset", "declared"), [("utf-8", ""), ("cp1252", "utf-8"), ("cp1252", "unknown-8bit")]
)
def test_a_mail_with_a_wrong_or_without_a_charset_is_decoded(read, tmp_path, charset, declared):
    header = f"Content-Type: text/plain; charset={declared}\n" if declared else ""
    body = f"Subject: Café\n{header}\nCafé am Großmarkt, 5 € für Größe M."
    (tmp_path / "a.eml").write_bytes(body.encode(charset))
    document = read(tmp_path / "a.eml")
    assert document.title == "Café"
    assert document.elements[-1].text == "Café am Großmarkt, 5 € für Größe M."


def test_a_mailbox_has_a_heading_for_each_mail(read, tmp_path):
    lines = "From a@b Mon Jan  1 00:00:00 2024\nSubject: {0}\n\nText of {0}.\n\n"
    (tmp_path / "a.mbox").write_text(lines.format("one") + lines.format("two"))
    elements = read(tmp_path / "a.mbox").elements
    assert [e.text for e in elements if e.kind == "heading"] == ["one", "two"]
    assert "Text of two." in [e.text for e in elements]
