from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from twotower.ui.components.answer import _quote_spans, partial_html
from twotower.ui.safe import label, marked, plain


def test_marks_enclose_their_words_and_the_text_is_escaped():
    html = marked("<b>seal</b> & more", [(3, 7)])
    assert html == "&lt;b&gt;<mark class='term'>seal</mark>&lt;/b&gt; &amp; more"


def test_control_characters_become_visible():
    assert plain("a\u202eb\x00c\nd") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\nd"


def test_joiners_that_a_script_needs_are_unchanged():
    family, persian = "\U0001f468\u200d\U0001f469", "\u0645\u06cc\u200c\u062e\u0648"
    assert plain(family) == family
    assert plain(persian) == persian
    assert plain("soft\u00adhyphen\r\n\ufeff") == "softhyphen\n"


def test_a_label_is_one_line_with_escaped_markdown():
    assert label("a\nb ![x](y) :red[z] $q$") == "a b \\!\\[x\\]\\(y\\) \\:red\\[z\\] \\$q\\$"


@given(st.text(max_size=80), st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80))))
def test_marking_neither_repeats_nor_drops_text(text, spans):
    spans = sorted((min(a, len(text)), min(b, len(text))) for a, b in spans if a <= b)
    html = str(marked(text, spans)).replace("<mark class='term'>", "").replace("</mark>", "")
    assert html == str(escape(plain(text)))


@given(st.text(alphabet="a<>[]1,23 &'\"", max_size=60))
def test_a_partial_answer_is_escaped_text_with_superscript_numbers(text):
    html = str(partial_html(text))
    body = html.removeprefix("<div class='answer' aria-busy='true'>").removesuffix("</div>")
    assert body.replace("<sup>", "").replace("</sup>", "") == str(escape(text))


def test_a_quotation_is_found_across_different_line_breaks():
    text = "One two\n  three. Four five."
    ((start, end),) = _quote_spans(text, ["two three."])
    assert text[start:end] == "two\n  three."
    assert _quote_spans(text, ["six"]) == []
