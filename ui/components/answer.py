"""An answer: its text with numbered citations, the cited passages, and all passages found."""

from collections.abc import Sequence
from textwrap import shorten

import streamlit as st
from markupsafe import Markup

from twotower.app.answering.answer import Answer, Claim
from twotower.app.services.searching import MarkedResult
from twotower.retrieval.search.context import Passage
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import TwoTowerError
from twotower.ui.components.hit import show_hits
from twotower.ui.components.notices import show_error
from twotower.ui.components.pdf_page import show_page
from twotower.ui.resources import workspace
from twotower.ui.safe import label, marked, plain


def show_answer(name: str, answer: Answer, key: str) -> None:
    """Show a finished answer.

    Parameters
    ----------
    key
        Prefix of the widget keys, different for each answer on the page.
    """
    if answer.kind == "refused":
        _show_refusal(answer)
    else:
        st.html(answer_html(answer.claims))
        _show_unsupported(answer)
        _show_citations(name, answer, key)
    _show_retrieval(name, answer, key)


def answer_html(claims: Sequence[Claim]) -> Markup:
    """Turn an answer into HTML: citations as superscripts, unsupported sentences underlined."""
    parts = []
    for claim in claims:
        text = _with_numbers(claim.text)
        if claim.problem:
            text = Markup("<span class='unsupported' title='{}'>{}</span>").format(
                plain(claim.problem), text
            )
        parts.append(text)
    return Markup("<div class='answer'>{}</div>").format(Markup(" ").join(parts))


def partial_html(text: str) -> Markup:
    """Turn the part of an answer that has arrived into HTML."""
    return Markup("<div class='answer' aria-busy='true'>{}</div>").format(_with_numbers(text))


def _with_numbers(text: str) -> Markup:
    """Escape a text, and make numbers in square brackets superscripts."""
    first, *others = text.split("[")
    parts = [Markup("{}").format(plain(first))]
    for piece in others:
        number, bracket, rest = piece.partition("]")
        if bracket and number.replace(",", "").replace(" ", "").isdecimal():
            parts.append(Markup("<sup>[{}]</sup>{}").format(number, plain(rest)))
        else:
            parts.append(Markup("[{}").format(plain(piece)))
    return Markup("").join(parts)


def _show_refusal(answer: Answer) -> None:
    st.info("The documents do not answer this.", icon=":material/help:")
    if answer.hits:
        where = answer.hits[0].chunk.provenance
        st.caption(f"The closest passage is in {label(where.location)}.")


def _show_unsupported(answer: Answer) -> None:
    if not answer.unsupported:
        return
    items = Markup("").join(
        Markup("<li>“{}”: {}</li>").format(
            plain(shorten(claim.text, 60, placeholder=" …")), plain(claim.problem)
        )
        for claim in answer.unsupported
    )
    st.html(
        Markup(
            "<div class='notes' role='note'>Underlined sentences are not supported by the passages "
            "they cite:<ul>{}</ul></div>"
        ).format(items)
    )


@st.fragment
def _show_citations(name: str, answer: Answer, key: str) -> None:
    """The cited passages by number; selecting one opens it."""
    cited = sorted({c.number for claim in answer.claims for c in claim.citations})
    passages = {p.number: p for p in answer.passages if p.number in cited}
    if not passages:
        return
    chosen = st.pills(
        "Sources",
        list(passages),
        format_func=lambda number: f"{number} · {label(_source_label(passages[number]))}",
        key=f"cited-{key}",
    )
    if chosen is None:
        return
    quotes = [
        citation.quote
        for claim in answer.claims
        for citation in claim.citations
        if citation.number == chosen
    ]
    passage = passages[chosen]
    with st.container(border=True):
        st.html(
            Markup("<article class='hit'><h3>{}</h3><div class='place'>{}</div></article>").format(
                plain(passage.title or passage.source),
                plain(passage.location),
            )
        )
        for chunk in _quoted(answer, passage, quotes):
            where = chunk.provenance
            st.html(
                Markup(
                    "<div class='hit'><div class='headings'>{}</div><p class='text'>{}</p></div>"
                ).format(
                    plain(" › ".join(where.headings)),
                    marked(chunk.text, _quote_spans(chunk.text, quotes), "closest"),
                )
            )
            if where.boxes:
                try:
                    show_page(name, where.source, chunk, f"cited-{key}-{chunk.id}")
                except TwoTowerError as error:
                    show_error(error)


def _source_label(passage: Passage) -> str:
    """Location and heading of a passage: the heading tells passages of one page apart."""
    return " · ".join([passage.location, *passage.headings[-1:]])


def _quote_spans(text: str, quotes: Sequence[str]) -> list[tuple[int, int]]:
    """Spans of quotations in a passage, whose line breaks may differ."""
    offsets: list[int] = []
    collapsed: list[str] = []
    for offset, character in enumerate(text):
        if not character.isspace() or (collapsed and not collapsed[-1].isspace()):
            collapsed.append(" " if character.isspace() else character)
            offsets.append(offset)
    line = "".join(collapsed)
    spans = []
    for quote in quotes:
        start = line.find(quote)
        if start >= 0:
            spans.append((offsets[start], offsets[start + len(quote) - 1] + 1))
    return sorted(spans)


def _quoted(answer: Answer, passage: Passage, quotes: Sequence[str]) -> list[Chunk]:
    """The quoted chunks of a passage, or its first chunk where none is quoted."""
    chunks = [hit.chunk for hit in answer.hits if hit.chunk.id in passage.chunk_ids]
    quoted = [c for c in chunks if any(q in " ".join(c.text.split()) for q in quotes)]
    return quoted or chunks[:1]


@st.fragment
def _show_retrieval(name: str, answer: Answer, key: str) -> None:
    """The query and all passages that the search found, in an expander."""
    if not answer.hits:
        return
    with st.expander(
        f"All passages found ({len(answer.hits)})", key=f"behind-{key}", on_change="rerun"
    ) as expander:
        if not expander.open:
            return
        if answer.standalone_question != answer.question:
            st.caption(f"Searched for: {label(answer.standalone_question)}")
        show_hits(name, _searched(name, answer), f"{key}-")


def _searched(name: str, answer: Answer) -> MarkedResult:
    return workspace().searching.marked(name, answer.standalone_question, answer.hits)
