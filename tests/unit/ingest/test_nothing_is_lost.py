"""Every marked phrase of a document reaches its text: losses here are found by nobody."""

import re
from pathlib import Path

import docx
import openpyxl
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from ingest.elements import Limits
from ingest.loaders import load
from ingest.loaders.isolation import Workers


@pytest.fixture(scope="module")
def workers():
    with Workers(1, seconds=60, memory_mb=4096) as workers:
        yield workers


@pytest.fixture
def text_of(workers, tmp_path):
    def read(name: str, content: str | bytes | None = None) -> str:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        document = workers.result(workers.submit(load, Path(path), Limits()))
        return "\n".join(element.text for element in document.elements)

    return read


def check(content: str, text: str) -> None:
    wanted = set(re.findall(r"mark\w+", content))
    assert wanted
    assert wanted - set(re.findall(r"mark\w+", text)) == set()


HTML = """<html><body><header><h1>marktitle of the page</h1></header>
<p>markbefore the details of the pump.</p>
<details><summary>marksummary here</summary>markdetails are hidden at first.</details>
<figure><img src="x.png"><figcaption>markcaption of a picture</figcaption></figure>
<table><caption>marktable caption</caption><tr><th>Part</th><th>Nm</th></tr>
<tr><td>markcell</td><td>40</td></tr></table>
<noscript>marknoscript text</noscript><textarea>markarea text</textarea>
<p>markafter all of it.</p></body></html>"""


def test_html(text_of):
    check(HTML, text_of("a.html", HTML))


def test_html_that_is_nested_deeper_than_any_reader_looks(text_of):
    deep = f"<p>markbefore it</p>{'<div>' * 400}markdeep inside{'</div>' * 400}<p>markafter it</p>"
    check(deep, text_of("a.html", f"<html><body>{deep}</body></html>"))


def test_markdown(text_of):
    content = (
        "# marktitle\n\nUse <markpart-NO> and List<markstring> as they are.\n\n"
        "<details><summary>marksummary</summary>\n\nmarkdetails text\n\n</details>\n\n"
        "```\nif a < markcode: <markless>\n```\n\nInline `<markinline>` code.\n"
    )
    text = text_of("a.md", content)
    check(content, text)
    assert "if a < markcode: <markless>" in text
    assert "<markinline>" in text


def test_a_rule_at_the_top_is_no_front_matter(text_of):
    content = "---\n\nmarkfirst section of plain text.\n\n---\n\nmarksecond section.\n"
    check(content, text_of("a.md", content))


def test_xml_with_attributes_tails_and_entities(text_of):
    content = (
        '<!DOCTYPE r [<!ENTITY loc "markentity">]><r><item name="markattribute"/>'
        "<item>marktext <b>markbold</b> marktail</item><x>&loc;</x></r>"
    )
    text = text_of("a.xml", content)
    check(content, text)
    assert text.index("marktext") < text.index("markbold") < text.index("marktail")


def test_an_external_entity_is_not_read(text_of, tmp_path):
    (tmp_path / "secret.txt").write_text("top secret")
    place = (tmp_path / "secret.txt").as_uri()
    content = f'<!DOCTYPE r [<!ENTITY x SYSTEM "{place}">]><r><a>markbefore</a><b>&x;</b></r>'
    text = text_of("a.xml", content)
    check("markbefore", text)
    assert "top secret" not in text


def test_an_entity_bomb_is_refused_or_harmless(text_of):
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    content = f'<!DOCTYPE r [<!ENTITY a0 "ha">{entities}]><r>&a11;</r>'
    with pytest.raises(Exception, match=r"well-formed|no text|MB"):
        text_of("a.xml", content)


def test_word_with_tracked_changes_controls_and_boxes(text_of, tmp_path):
    document = docx.Document()
    document.add_heading("Contract", 1)
    paragraph = document.add_paragraph("marknormal before ")
    run = "<w:r><w:t>{}</w:t></w:r>"
    space = nsdecls("w")
    paragraph._p.append(parse_xml(f"<w:ins {space}>{run.format('markinserted after')}</w:ins>"))
    paragraph._p.append(
        parse_xml(f"<w:del {space}><w:r><w:delText>gonedeleted</w:delText></w:r></w:del>")
    )
    paragraph._p.append(
        parse_xml(
            f"<w:sdt {space}><w:sdtContent>{run.format('markcontrol')}</w:sdtContent></w:sdt>"
        )
    )
    body = document.element.body
    block = f"<w:p>{run.format('markblock control')}</w:p>"
    body.insert(2, parse_xml(f"<w:sdt {space}><w:sdtContent>{block}</w:sdtContent></w:sdt>"))
    box = f"<w:txbxContent><w:p>{run.format('markbox text')}</w:p></w:txbxContent>"
    host = f"<w:p {space}><w:r><w:pict>{box}</w:pict></w:r></w:p>"
    body.insert(3, parse_xml(host))
    table = document.add_table(rows=1, cols=1)
    table.cell(0, 0).text = "markcell"
    document.save(tmp_path / "a.docx")
    text = text_of("a.docx")
    check("marknormal markinserted markcontrol markblock markbox markcell", text)
    assert "gonedeleted" not in text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("name\nmarkonecol\nfoo\n", "name\nmarkonecol\nfoo"),
        ("markid\n4711\n4712\n", "markid\n4711\n4712"),
        ("Report marktitle\n\na,b\n1,NA\n", "Report marktitle\na | b\n1 | NA"),
        ("a,b\n1,2\n3,4,5,markragged\n6\n", "a | b\n1 | 2\n3 | 4 | 5 | markragged\n6"),
        ("a;b\nmarkone;2,5\n", "a | b\nmarkone | 2,5"),
        ('a,b\n"marktwo\nlines",None\n', "a | b\nmarktwo lines | None"),
    ],
)
def test_delimited_text_is_kept_as_written(text_of, content, expected):
    assert text_of("a.csv", content) == expected


def test_a_workbook_is_kept_as_shown(text_of, tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "marksheet"
    for row in (
        ["marknote alone"],
        [],
        ["Code", "marknumber", "Yes"],
        [4711, "NA", True],
        [None, 2.5],
    ):
        sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    assert text_of("a.xlsx") == (
        "marksheet\nmarknote alone\nCode | marknumber | Yes\n4711 | NA | True\n | 2.5"
    )


MAIL = """From: Ana <ana@markfrom.example>
To: bo@markto.example
Cc: cy@markcopy.example
Subject: =?utf-8?q?marksubject_=C3=BCber?=
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=B

--B
Content-Type: text/plain; charset=x-nobody-knows

markbody of the mail
--B
Content-Type: message/rfc822

From: Dee <dee@markinner.example>
Subject: markforwarded

markinnerbody text
--B
Content-Type: application/pdf; name="markattachment.pdf"
Content-Disposition: attachment; filename="markattachment.pdf"

x
--B--
"""


def test_mail_with_a_forwarded_one_and_an_unknown_charset(text_of):
    text = text_of("a.eml", MAIL)
    check(MAIL.replace("_=C3", " "), text)
    assert "marksubject über" in text
    assert "Date:" not in text


def test_a_mail_of_a_subject_alone(text_of):
    assert "marksubject" in text_of("a.eml", "Subject: marksubject only\nFrom: a@b.example\n\n")


@pytest.mark.parametrize("suffix", ["rst", "org"])
def test_an_include_reads_nothing(text_of, tmp_path, suffix):
    (tmp_path / "secret.txt").write_text("top secret")
    include = {"rst": ".. include:: secret.txt", "org": "#+INCLUDE: secret.txt"}[suffix]
    try:
        text = text_of(f"a.{suffix}", f"markbefore it\n\n{include}\n\nmarkafter it\n")
    except Exception as error:  # noqa: BLE001 - refusing the file is as good
        text = str(error)
    assert "top secret" not in text
