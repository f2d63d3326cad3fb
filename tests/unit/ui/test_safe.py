from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from ui.components.answer import _found, streamed
from ui.safe import label, marked, plain


def test_marks_stand_around_their_words_and_everything_else_is_escaped():
    html = marked("<b>seal</b> & more", [(3, 7)])
    assert html == "&lt;b&gt;<mark class='term'>seal</mark>&lt;/b&gt; &amp; more"


def test_what_cannot_be_seen_is_shown():
    assert plain("a\u202eb\x00c\nd") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\nd"


def test_writing_that_needs_joiners_stays_as_it_is():
    family, persian = "\U0001f468\u200d\U0001f469", "\u0645\u06cc\u200c\u062e\u0648"
    assert plain(family) == family
    assert plain(persian) == persian
    assert plain("soft\u00adhyphen\r\n\ufeff") == "softhyphen\n"


def test_a_label_is_one_line_without_markup():
    assert label("a\nb ![x](y) :red[z] $q$") == "a b \\!\\[x\\]\\(y\\) \\:red\\[z\\] \\$q\\$"


@given(st.text(max_size=80), st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80))))
def test_whatever_is_marked_the_text_is_there_once(text, spans):
    spans = sorted((min(a, len(text)), min(b, len(text))) for a, b in spans if a <= b)
    html = str(marked(text, spans)).replace("<mark class='term'>", "").replace("</mark>", "")
    assert html == str(escape(plain(text)))


@given(st.text(alphabet="a<>[]1,23 &'\"", max_size=60))
def test_an_answer_on_its_way_is_text_with_raised_numbers(text):
    html = str(streamed(text))
    bare = html.removeprefix("<div class='answer' aria-busy='true'>").removesuffix("</div>")
    assert bare.replace("<sup>", "").replace("</sup>", "") == str(escape(text))


def test_a_quotation_is_found_where_its_lines_break_otherwise():
    text = "One two\n  three. Four five."
    ((start, end),) = _found(text, ["two three."])
    assert text[start:end] == "two\n  three."
    assert _found(text, ["six"]) == []
