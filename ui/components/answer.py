"""An answer: its text with numbered citations, what they say, and the retrieval behind it."""

from collections.abc import Sequence
from textwrap import shorten

import streamlit as st
from markupsafe import Markup

from app.answer import Answer, Claim
from app.workspace import Searched
from retrieval.context import Passage
from retrieval.errors import TwoTowerError
from retrieval.types import Chunk
from ui.components.hit import show_hits
from ui.components.notices import show_error
from ui.components.pages_of import show_page
from ui.resources import workspace
from ui.safe import label, marked, plain


def show_answer(name: str, answer: Answer, key: str) -> None:
    """Show a finished answer.

    Parameters
    ----------
    key
        That no other answer of the page has.
    """
    if answer.kind == "refused":
        _refused(answer)
    else:
        st.html(written(answer.claims))
        _unsupported(answer)
        _citations(name, answer, key)
    _retrieval(name, answer, key)


def written(claims: Sequence[Claim]) -> Markup:
    """The text of an answer as HTML: citations raised, unsupported sentences underlined."""
    parts = []
    for claim in claims:
        text = _with_numbers(claim.text)
        if claim.problem:
            text = Markup("<span class='unsupported' title='{}'>{}</span>").format(
                plain(claim.problem), text
            )
        parts.append(text)
    return Markup("<div class='answer'>{}</div>").format(Markup(" ").join(parts))


def streamed(text: str) -> Markup:
    """What has come of an answer so far, as HTML."""
    return Markup("<div class='answer' aria-busy='true'>{}</div>").format(_with_numbers(text))


def _with_numbers(text: str) -> Markup:
    """Escape a text, and raise the numbers in square brackets."""
    first, *others = text.split("[")
    parts = [Markup("{}").format(plain(first))]
    for piece in others:
        number, bracket, rest = piece.partition("]")
        if bracket and number.replace(",", "").replace(" ", "").isdecimal():
            parts.append(Markup("<sup>[{}]</sup>{}").format(number, plain(rest)))
        else:
            parts.append(Markup("[{}").format(plain(piece)))
    return Markup("").join(parts)


def _refused(answer: Answer) -> None:
    st.info("The documents do not answer this.", icon=":material/help:")
    if answer.hits:
        where = answer.hits[0].chunk.provenance
        page = "" if where.page is None else f", page {where.page}"
        st.caption(f"The nearest passage is in {label(where.source + page)}.")


def _unsupported(answer: Answer) -> None:
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
            "<div class='notes' role='note'>Underlined, because nothing it cites says so:"
            "<ul>{}</ul></div>"
        ).format(items)
    )


@st.fragment
def _citations(name: str, answer: Answer, key: str) -> None:
    """The cited passages, by number; choosing one opens it."""
    cited = sorted({c.number for claim in answer.claims for c in claim.citations})
    passages = {p.number: p for p in answer.passages if p.number in cited}
    if not passages:
        return
    chosen = st.pills(
        "Sources",
        list(passages),
        format_func=lambda number: f"{number} · {label(_named(passages[number]))}",
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
                plain(passage.title or passage.source), plain(_where(passage))
            )
        )
        for chunk in _quoted(answer, passage, quotes):
            where = chunk.provenance
            st.html(
                Markup(
                    "<div class='hit'><div class='headings'>{}</div><p class='text'>{}</p></div>"
                ).format(
                    plain(" › ".join(where.headings)),
                    marked(chunk.text, _found(chunk.text, quotes), "closest"),
                )
            )
            if where.boxes:
                try:
                    show_page(name, where.source, chunk, f"cited-{key}-{chunk.id}")
                except TwoTowerError as error:
                    show_error(error)


def _named(passage: Passage) -> str:
    """Where a passage is, and its heading: two of one document shall not read the same."""
    return " · ".join([_where(passage), *passage.headings[-1:]])


def _where(passage: Passage) -> str:
    return passage.source if passage.page is None else f"{passage.source}, page {passage.page}"


def _found(text: str, quotes: Sequence[str]) -> list[tuple[int, int]]:
    """Where quotations stand in a passage, which may break its lines elsewhere."""
    places: list[int] = []
    squeezed: list[str] = []
    for at, character in enumerate(text):
        if not character.isspace() or (squeezed and not squeezed[-1].isspace()):
            squeezed.append(" " if character.isspace() else character)
            places.append(at)
    line = "".join(squeezed)
    spans = []
    for quote in quotes:
        start = line.find(quote)
        if start >= 0:
            spans.append((places[start], places[start + len(quote) - 1] + 1))
    return sorted(spans)


def _quoted(answer: Answer, passage: Passage, quotes: Sequence[str]) -> list[Chunk]:
    """The chunks of a passage that are quoted, or its first one."""
    chunks = [hit.chunk for hit in answer.hits if hit.chunk.id in passage.chunk_ids]
    quoted = [c for c in chunks if any(q in " ".join(c.text.split()) for q in quotes)]
    return quoted or chunks[:1]


@st.fragment
def _retrieval(name: str, answer: Answer, key: str) -> None:
    """What was searched for, and found, one click away."""
    if not answer.hits:
        return
    with st.expander(
        f"The {len(answer.hits)} passages behind it", key=f"behind-{key}", on_change="rerun"
    ) as behind:
        if not behind.open:
            return
        if answer.asked != answer.question:
            st.caption(f"Searched for: {label(answer.asked)}")
        show_hits(name, _searched(name, answer), f"{key}-")


def _searched(name: str, answer: Answer) -> Searched:
    with workspace().retrieving(name) as retriever:
        marks = {
            str(hit.chunk.id): retriever.matches(answer.asked, hit.chunk.text)
            for hit in answer.hits
        }
        return Searched(answer.asked, retriever.options, answer.hits, 0.0, marks)
