"""A property of all formats: every word of a file is found by BM25, or named in a warning.

For each format a builder writes a document with words in every kind of place that the format has.
"""

import email.message
import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
import xlwt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.comments import Comment
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from reportlab.pdfgen.canvas import Canvas

from twotower.ingest.chunking import ChunkSettings, chunk_document
from twotower.ingest.elements import Limits
from twotower.ingest.loaders import load
from twotower.retrieval.models.bm25 import Bm25, Bm25Settings
from twotower.retrieval.models.model_folder import DEFAULT_ENCODER, find_model, load_tokenizer

TOKENIZER = load_tokenizer(find_model(DEFAULT_ENCODER))
BM25 = Bm25(Bm25Settings(language="english"))

Word = Callable[[], str]


def markdown(word: Word) -> str:
    return (
        f"---\ntitle: {word()}\n---\n# {word()}\n\n{word()} **{word()}** `{word()}` "
        f"[{word()}](a.md)\n\n- {word()}\n  1. {word()}\n\n> {word()}\n\n"
        f"| {word()} | {word()} |\n|---|---|\n| {word()} | 1 |\n\n```\n{word()}\n```\n\n"
        f"![{word()}](x.png)\n\n[[{word()}]] #{word()} a <{word()}>\n\n"
        f"Note.[^1]\n\n[^1]: {word()}\n\n> [!info] {word()}\n"
    )


def html(word: Word) -> str:
    return (
        f"<html><head><title>{word()}</title></head><body><header><h1>{word()}</h1></header>"
        f"<nav>{word()} is text</nav><p>{word()}<sup>1</sup> <a href='x'>{word()}</a></p>"
        f"<form><label>{word()}</label><input value='{word()}'>"
        f"<select><option>{word()}</option></select><textarea>{word()}</textarea>"
        f"<button>{word()}</button></form><img alt='{word()}'><table><caption>{word()}</caption>"
        f"<tr><th rowspan=2>{word()}</th><td>{word()}</td></tr></table>"
        f"<details><summary>{word()}</summary>{word()}</details><main>{word()}</main>"
        f"<aside>{word()}</aside><footer>{word()}</footer></body></html>"
    )


def plain(word: Word) -> str:
    return f"{word()}\n=====\n\n{word()}\n{word()}\n\n- {word()}\n\n{word()}    {word()}\n"


def table(word: Word) -> str:
    return f"{word()}\n{word()},{word()}\n{word()},{word()}\n{word()}\n"


def data(word: Word) -> str:
    return json.dumps({word(): [word(), {word(): word()}], "n": None})


def configuration(word: Word) -> str:
    return f"# {word()}\n{word()}: {word()}\nlist:\n  - {word()}\n"


def code(word: Word) -> str:
    return f'"""{word()}"""\n# {word()}\ndef f():\n    """{word()}"""\n    return "{word()}"\n'


def calendar(word: Word) -> str:
    return (
        f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:{word()}\r\nDTSTART:20260105T100000Z\r\n"
        f"LOCATION:{word()}\r\nDESCRIPTION:{word()}\\n{word()}\r\nORGANIZER;CN={word()}:mailto:a@b.example"
        f"\r\nATTENDEE;CN={word()}:mailto:c@d.example\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )


def contacts(word: Word) -> str:
    return (
        f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{word()} {word()}\r\nORG:{word()}\r\nTITLE:{word()}\r\n"
        f"ADR:;;{word()};{word()};;1;{word()}\r\nNOTE:{word()}\r\nEND:VCARD\r\n"
    )


def subtitles(word: Word) -> str:
    return f"1\n00:00:01,000 --> 00:00:02,000\n{word()}\n<i>{word()}</i>\n\n"


def latex(word: Word) -> str:
    return (
        f"\\title{{{word()}}}\\begin{{document}}\\section{{{word()}}} {word()}"
        f"\\footnote{{{word()}}}\n\\begin{{itemize}}\\item {word()}\\end{{itemize}}"
        f"\\begin{{tabular}}{{ll}}{word()} & {word()}\\\\\\end{{tabular}}"
        f"\\caption{{{word()}}} \\textbf{{{word()}}}\\end{{document}}"
    )


def notebook(word: Word) -> str:
    cells = [
        {"cell_type": "markdown", "source": [f"# {word()}\n", word()]},
        {
            "cell_type": "code",
            "source": f"x = '{word()}'",
            "outputs": [{"output_type": "stream", "name": "stdout", "text": [word()]}],
        },
    ]
    return json.dumps({"nbformat": 4, "metadata": {}, "cells": cells})


def marks(word: Word) -> str:
    return f"{word()}\n=====\n\n{word()} *{word()}*\n\n- {word()}\n\n.. note:: {word()}\n"


def org(word: Word) -> str:
    return (
        f"#+TITLE: {word()}\n* {word()}\n{word()} *{word()}*\n- {word()}\n| {word()} | {word()} |\n"
    )


TEXTS = {
    ".md": markdown, ".html": html, ".txt": plain, ".csv": table, ".json": data,
    ".yaml": configuration, ".py": code, ".ics": calendar, ".vcf": contacts, ".srt": subtitles,
    ".tex": latex, ".ipynb": notebook, ".rst": marks, ".org": org,
}  # fmt: skip


def write_docx(path: Path, word: Word) -> None:
    document = docx.Document()
    document.core_properties.title = ""
    document.add_heading(word(), 1)
    paragraph = document.add_paragraph(word())
    document.add_comment(paragraph.runs, text=word())
    document.add_paragraph(word(), style="List Bullet")
    cells = document.add_table(1, 2).rows[0].cells
    cells[0].text, cells[1].text = word(), word()
    section = document.sections[0]
    section.header.paragraphs[0].text, section.footer.paragraphs[0].text = word(), word()
    section.different_first_page_header_footer = True
    section.first_page_header.paragraphs[0].text = word()
    document.save(path)


def write_xlsx(path: Path, word: Word) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = word()
    sheet.append([word(), word()])
    sheet.append([word(), 1])
    sheet["A2"].comment = Comment(word(), "Ann")
    sheet.oddFooter.left.text = word()
    sheet.merge_cells("A3:B3")
    sheet["A3"] = word()
    book.save(path)


def write_xls(path: Path, word: Word) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet(word())
    for row in range(2):
        for column in range(2):
            sheet.write(row, column, word())
    book.save(str(path))


def write_pptx(path: Path, word: Word) -> None:
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = word(), word()
    slide.notes_slide.notes_text_frame.text = word()
    slide.shapes.add_textbox(0, 0, 99, 99).text_frame.text = word()
    cell = slide.shapes.add_table(1, 1, 0, 0, 99, 99).table.cell(0, 0)
    cell.text = word()
    chart = CategoryChartData()
    chart.categories = [word(), word()]
    chart.add_series(word(), (1, 2))
    slide.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, 0, 0, 99, 99, chart)
    show.save(path)


def write_mail(path: Path, word: Word) -> None:
    message = email.message.EmailMessage()
    message["Subject"], message["From"] = word(), f"{word()} <a@b.example>"
    message.set_content(f"{word()}\n")
    name = word()
    message.add_attachment(
        word().encode(), maintype="text", subtype="plain", filename=f"{name}.txt"
    )
    message.add_attachment(b"x", maintype="application", subtype="x", filename=f"{word()}.bin")
    path.write_bytes(bytes(message))


def write_zip(path: Path, word: Word) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(f"{word()}.txt", word())
        archive.writestr("folder/a.md", f"# {word()}\n\n{word()}\n")
        archive.writestr(f"{word()}.bin", b"\0\1")
    path.write_bytes(content.getvalue())


def write_pdf(path: Path, word: Word) -> None:
    canvas = Canvas(str(path))
    for page in range(2):
        canvas.drawString(60, 800, f"Page {page + 1}")
        canvas.drawString(60, 700, word())
        canvas.drawString(60, 680, word())
        canvas.drawString(300, 680, word())
        canvas.textAnnotation(word(), Rect=[60, 400, 80, 420])
        canvas.acroForm.textfield(name=word(), value=word(), x=60, y=300)
        canvas.showPage()
    canvas.save()


FILES = {
    ".docx": write_docx, ".xlsx": write_xlsx, ".xls": write_xls, ".pptx": write_pptx,
    ".eml": write_mail, ".zip": write_zip, ".pdf": write_pdf,
}  # fmt: skip
LATIN = (".pdf", ".eml")  # reportlab's fonts; names of attachments are folded
ALPHABETS = ("bcdfghjklmnpqrstvwxz", "bcdfghjklmnpäöüßéñçøåł", "αβγδθλμπ", "бвгджзклмн")


@pytest.mark.parametrize("suffix", [*TEXTS, *FILES])
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_every_word_is_found_or_named(tmp_path, suffix, seed):
    chance = random.Random(seed)
    words: list[str] = []

    def word() -> str:
        alphabet = ALPHABETS[0] if suffix in LATIN else chance.choice(ALPHABETS)
        made = "".join(chance.choices(alphabet, k=chance.randint(4, 7)))
        number = "".join("bcdfghjklm"[int(digit)] for digit in f"{len(words):02}")
        words.append(f"{made}{number}")
        return words[-1]

    path = tmp_path / f"file{suffix}"
    if suffix in TEXTS:
        path.write_text(TEXTS[suffix](word), encoding="utf-8")
    else:
        FILES[suffix](path, word)
    document = load(path, Limits())
    chunks = chunk_document(path.name, document, TOKENIZER, ChunkSettings(256))
    found = {term for c in chunks for term in BM25.encode_passage(c.encoded_text).indices}
    named = "\n".join((*document.warnings, document.title, document.front_matter))
    lost = [
        w
        for w in words
        if w not in named and found.isdisjoint(BM25.question_terms(w, ["english"]).own)
    ]
    assert lost == []
