import csv
import io
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from twotower.app.services.exports import escape_markdown, to_csv, to_markdown, window
from twotower.retrieval.search.results import Hit
from twotower.retrieval.vocabulary.documents import Chunk, Provenance


def hit(text: str, source: str = "a.pdf", headings: tuple[str, ...] = ()) -> Hit:
    where = Provenance(source, "A", headings, 3, 3, 0, len(text))
    return Hit(1, 0.5, Chunk(UUID(int=7), text, "", 0, where), {})


def test_a_table_has_a_row_for_each_hit_and_no_formula():
    table = to_csv([hit('=HYPERLINK("http://evil")\nline', "+a.md", ("@x",)), hit("plain")])
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["text"] for row in rows] == ['\'=HYPERLINK("http://evil")\nline', "plain"]
    assert rows[0]["source"] == "'+a.md"
    assert rows[0]["headings"] == "'@x"
    assert rows[1]["citation"] == "a.pdf, page 3"


def test_a_note_quotes_each_hit_with_its_citation():
    note = to_markdown("what?", [hit("One.\n\nTwo ![x](http://evil/a)", headings=("H",))])
    html = MarkdownIt("commonmark").render(note)
    assert "<h1>what?</h1>" in html
    assert "<blockquote>" in html
    assert "<img" not in html
    assert "[1] a.pdf, page 3, H" in html


@given(st.text(alphabet="ab <>[]()!*_`#$:\\|~&-+.1\n", max_size=60))
def test_escaped_text_is_only_text(text):
    line = " ".join(text.split())
    tokens = MarkdownIt("commonmark").parse("x " + escape_markdown(line))
    kinds = {child.type for token in tokens for child in token.children or ()}
    assert kinds <= {"text", "text_special"}
    shown = "".join(c.content for token in tokens for c in token.children or ())
    assert shown.strip() == f"x {line}".strip()


@given(st.text(alphabet="ab \n", max_size=200), st.integers(1, 60))
def test_the_stretch_that_is_shown_lies_within_the_text(text, size):
    marks = [(at, at + 1) for at, character in enumerate(text) if character == "b"]
    start, end = window(text, marks, size)
    assert 0 <= start <= end <= len(text)
    if len(text) <= size:
        assert (start, end) == (0, len(text))
