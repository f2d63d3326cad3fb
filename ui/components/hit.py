"""One hit: where it stands, why it was found, its page, and what is around it."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import streamlit as st
from markupsafe import Markup

from app.hits import window
from app.labels import place_of
from app.workspace import Searched
from retrieval.errors import TwoTowerError
from retrieval.types import Chunk, Hit
from ui.components.notices import show_error
from ui.components.pages_of import show_page
from ui.components.why import show_why
from ui.resources import workspace
from ui.safe import marked, plain

_TEXT = 560  # characters of a passage that are shown first
_REACH = 2  # passages before and after
_NAMES = {"dense": "meaning", "bm25": "words"}
_VERDICTS = {1: "Relevant", 0: "Not relevant"}


def show_hits(
    name: str,
    searched: Searched,
    key: str = "",
    *,
    moves: Mapping[UUID, str] | None = None,
    judged: Mapping[str, int] | None = None,
) -> None:
    """Show hits as cards: all texts first, which are waited for, then what opens more of them.

    Parameters
    ----------
    name
        The collection.
    key
        That no other list of the page has.
    moves
        How ranks compare with another ranking's, by chunk.
    judged
        What the person has said for this question, by place; ``None`` asks for no judgements.
    """
    cards = []
    for hit in searched.hits:
        card = st.container(border=True)
        card.html(_card(hit, searched, (moves or {}).get(hit.chunk.id, "")))
        cards.append(card)
    for card, hit in zip(cards, searched.hits, strict=True):
        with card:
            _more(name, searched, hit, f"{key}{hit.rank}", judged)


@st.fragment
def _more(
    name: str, searched: Searched, hit: Hit, key: str, judged: Mapping[str, int] | None
) -> None:
    """What is looked at on demand; opening it runs nothing else of the page."""
    where = hit.chunk.provenance
    page = "Page" if where.page is None else f"Page {where.page}"
    views = {"around": "Surroundings", "why": "Why this hit"}
    if where.boxes:
        views = {"page": page, **views}
    chosen = st.segmented_control(
        f"More of hit {hit.rank}",
        list(views),
        format_func=lambda view: views[view],
        key=f"view-{key}-{hit.chunk.id}",
        label_visibility="collapsed",
    )
    try:
        if chosen == "page":
            show_page(name, where.source, hit.chunk, f"{key}-{hit.chunk.id}")
        elif chosen == "around":
            _around(name, searched, hit.chunk)
        elif chosen == "why":
            show_why(name, searched, hit)
    except TwoTowerError as error:
        show_error(error)
    if judged is not None:
        _verdict(name, searched.question, hit.chunk, key, judged.get(place_of(hit.chunk)))


def _verdict(name: str, question: str, chunk: Chunk, key: str, judged: int | None) -> None:
    """Take a judgement, and keep it at once."""
    widget = f"verdict-{key}-{chunk.id}"

    def keep() -> None:
        workspace().labels(name).mark(question, place_of(chunk), st.session_state[widget])

    st.segmented_control(
        "Does this answer the question?",
        list(_VERDICTS),
        format_func=lambda score: _VERDICTS[score],
        default=judged,
        key=widget,
        on_change=keep,
    )


def _card(hit: Hit, searched: Searched, moved: str) -> Markup:
    where = hit.chunk.provenance
    marks = searched.marks.get(str(hit.chunk.id), ())
    place = where.source if where.page is None else f"{where.source}, page {where.page}"
    way = Markup("")
    if moved:
        down = " down" if moved.startswith("▼") else ""
        way = Markup("<span class='moved{}'>{}</span>").format(down, moved)
    headings = Markup("")
    if where.headings:
        headings = Markup("<div class='headings'>{}</div>").format(
            plain(" › ".join(where.headings))
        )
    return Markup(
        "<article class='hit' data-q='{}'><div class='head'><span class='rank'>{}</span>"
        "<h3>{}</h3>{}<span class='score'>{:.3f}</span></div><div class='place'>{}</div>{}{}"
        "<p class='text'>{}</p></article>"
    ).format(
        searched.question,
        hit.rank,
        plain(where.title or where.source),
        way,
        hit.score,
        plain(place),
        headings,
        score_bar(hit, searched.hits[0].score),
        excerpt(hit.chunk.text, marks),
    )


def excerpt(text: str, marks: Sequence[tuple[int, int]], size: int = _TEXT) -> Markup:
    """The stretch of a passage with the most marked words, as HTML."""
    start, end = window(text, marks, size)
    inside = [(a - start, b - start) for a, b in marks if start <= a and b <= end]
    shown = marked(text[start:end], inside)
    return Markup("{}{}{}").format("…" if start else "", shown, "…" if end < len(text) else "")


def score_bar(hit: Hit, best: float) -> Markup:
    """A hit's score as a bar, split into what each leg adds to it where the fusion tells.

    Where it does not, the bar is as long as the score is of the best hit's.
    """
    parts = shares(hit)
    whole = 1.0 if len(parts) > 1 else max(best, 1e-9)
    said = ", ".join(f"{value:.2f} from {name}" for name, _, value in parts)
    segments = Markup("").join(
        Markup("<i class='{}' style='width:{:.1f}%'></i>").format(
            kind, 100 * max(min(value / whole, 1), 0)
        )
        for _, kind, value in parts
    )
    legend = Markup("").join(
        Markup("<span><i class='{}'></i>{} {:.2f}</span>").format(kind, name, value)
        for name, kind, value in parts
    )
    if hit.reranked is not None:  # its scale is its own: it orders, and adds nothing to the bar
        moved = hit.reranked.moved
        way = f", {'up' if moved > 0 else 'down'} {abs(moved)}" if moved else ""
        legend += Markup("<span><i class='rerank'></i>reranker {:.2f}{}</span>").format(
            hit.reranked.score, way
        )
    return Markup(
        "<div class='bar' role='img' aria-label='Score: {}'>{}</div><div class='legend'>{}</div>"
    ).format(said, segments, legend)


def shares(hit: Hit) -> list[tuple[str, str, float]]:
    """Name, kind and size of what adds up to a hit's score before reranking."""
    explanation = hit.explanation
    if explanation is None or not explanation.parts:
        kind = next((name for name, place in hit.legs.items() if place), "dense")
        return [("score", kind, hit.score)]
    return [
        (_NAMES[name], name, weight * normalised)
        for name, (weight, normalised) in explanation.parts.items()
    ]


def _around(name: str, searched: Searched, chunk: Chunk) -> None:
    before, after = workspace().neighbours(name, chunk, _REACH)
    own = marked(chunk.text, searched.marks.get(str(chunk.id), ()))
    quiet = Markup("<div class='around'>{}</div>")
    st.html(
        Markup("<div class='passage' tabindex='0'>{}<div class='own'>{}</div>{}</div>").format(
            Markup("").join(quiet.format(plain(one.text) + "\n\n") for one in before),
            own,
            Markup("").join(quiet.format("\n" + plain(one.text) + "\n") for one in after),
        )
    )
    if not before and not after:
        st.caption("This passage is the whole document.")
