"""One hit: its text and score, its page, the text around it, and the explanation."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import streamlit as st
from markupsafe import Markup

from twotower.app.services.exports import window
from twotower.app.services.labels import label_location
from twotower.app.services.searching import MarkedResult
from twotower.retrieval.search.results import Hit
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import TwoTowerError
from twotower.ui.components.notices import show_error
from twotower.ui.components.pdf_page import show_page
from twotower.ui.components.why import show_why
from twotower.ui.resources import workspace
from twotower.ui.safe import marked, plain

_EXCERPT = 560  # characters of a passage on its card
_PLACES = 5  # of copies that are named
_NEIGHBOURS = 2  # passages before and after
_LEG_NAMES = {"dense": "meaning", "bm25": "words"}
_LABELS = {1: "Relevant", 0: "Not relevant"}


def show_hits(
    name: str,
    searched: MarkedResult,
    key: str = "",
    *,
    rank_changes: Mapping[UUID, str] | None = None,
    labels: Mapping[str, int] | None = None,
) -> None:
    """Show hits as cards: first all texts, which the visitor waits for, then their buttons.

    Parameters
    ----------
    name
        Name of the collection.
    key
        Prefix of the widget keys, different for each list on the page.
    rank_changes
        Change of rank against another ranking, by chunk.
    labels
        The user's labels for this question, by source and page; ``None`` hides the label buttons.
    """
    cards = []
    for hit in searched.result.hits:
        card = st.container(border=True)
        card.html(_card(hit, searched, (rank_changes or {}).get(hit.chunk.id, "")))
        cards.append(card)
    for card, hit in zip(cards, searched.result.hits, strict=True):
        with card:
            _details(name, searched, hit, f"{key}{hit.rank}", labels)


@st.fragment
def _details(
    name: str, searched: MarkedResult, hit: Hit, key: str, labels: Mapping[str, int] | None
) -> None:
    """Views that open on demand; opening one runs no other part of the page."""
    where = hit.chunk.provenance
    page = "Page" if where.page is None else f"Page {where.page}"
    views = {"around": "Surrounding text", "why": "Why this hit"}
    if where.boxes:
        views = {"page": page, **views}
    widget = f"view-{key}-{hit.chunk.id}"

    def opened() -> None:
        if st.session_state[widget] is not None:
            shown = [label_location(other.chunk) for other in searched.result.hits]
            clicks = workspace().clicks(name)
            clicks.record(searched.result.question, shown, label_location(hit.chunk))

    chosen = st.segmented_control(
        f"More about hit {hit.rank}",
        list(views),
        format_func=lambda view: views[view],
        key=widget,
        label_visibility="collapsed",
        on_change=opened,
    )
    try:
        if chosen == "page":
            show_page(name, where.source, hit.chunk, f"{key}-{hit.chunk.id}")
        elif chosen == "around":
            _show_surroundings(name, searched, hit.chunk)
        elif chosen == "why":
            show_why(name, searched, hit)
    except TwoTowerError as error:
        show_error(error)
    if labels is not None:
        _label_buttons(
            name, searched.result.question, hit.chunk, key, labels.get(label_location(hit.chunk))
        )


def _label_buttons(name: str, question: str, chunk: Chunk, key: str, label: int | None) -> None:
    """Buttons that save the user's label at once."""
    widget = f"verdict-{key}-{chunk.id}"

    def save() -> None:
        workspace().labels(name).mark(question, label_location(chunk), st.session_state[widget])

    st.segmented_control(
        "Does this answer the question?",
        list(_LABELS),
        format_func=lambda score: _LABELS[score],
        default=label,
        key=widget,
        on_change=save,
    )


def _card(hit: Hit, searched: MarkedResult, rank_change: str) -> Markup:
    where = hit.chunk.provenance
    marks = searched.marks.get(str(hit.chunk.id), ())
    badge = Markup("")
    if rank_change:
        down = " down" if rank_change.startswith("▼") else ""
        badge = Markup("<span class='moved{}'>{}</span>").format(down, rank_change)
    headings = Markup("")
    if where.headings:
        headings = Markup("<div class='headings'>{}</div>").format(
            plain(" › ".join(where.headings))
        )
    outdated = Markup("")
    if hit.outdated:
        outdated = Markup("<div class='headings'>Out of date: {}</div>").format(plain(hit.outdated))
    copies = Markup("")
    if places := list(dict.fromkeys(place.location for place in hit.copies)):
        more = f" and {len(places) - _PLACES} more places" if len(places) > _PLACES else ""
        copies = Markup("<div class='headings'>Also in {}</div>").format(
            plain(", ".join(places[:_PLACES]) + more)
        )
    return Markup(
        "<article class='hit' data-q='{}'><div class='head'><span class='rank'>{}</span>"
        "<h3>{}</h3>{}<span class='score'>{:.3f}</span></div><div class='place'>{}</div>{}{}{}"
        "<p class='text'>{}</p></article>"
    ).format(
        searched.result.question,
        hit.rank,
        plain(where.title or where.source),
        badge,
        hit.score,
        plain(where.location),
        Markup("{}{}").format(outdated, copies),
        headings,
        score_bar(hit, searched.result.hits[0].score),
        excerpt(hit.chunk.text, marks),
    )


def excerpt(text: str, marks: Sequence[tuple[int, int]], size: int = _EXCERPT) -> Markup:
    """The part of a passage with the most marked words, as HTML."""
    start, end = window(text, marks, size)
    inside = [(a - start, b - start) for a, b in marks if start <= a and b <= end]
    shown = marked(text[start:end], inside)
    return Markup("{}{}{}").format("…" if start else "", shown, "…" if end < len(text) else "")


def score_bar(hit: Hit, best: float) -> Markup:
    """A hit's score as a bar, split into the contributions of the legs where they are known.

    Otherwise the length of the bar is the score relative to the best hit's score.
    """
    parts = score_parts(hit)
    whole = 1.0 if len(parts) > 1 else max(best, 1e-9)
    description = ", ".join(f"{name} {value:.2f}" for name, _, value in parts)
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
    if hit.reranked is not None:  # on a scale of its own, so it is not part of the bar
        moved = hit.reranked.rank_change
        change = f", {'up' if moved > 0 else 'down'} {abs(moved)}" if moved else ""
        legend += Markup("<span><i class='rerank'></i>reranker {:.2f}{}</span>").format(
            hit.reranked.score, change
        )
    return Markup(
        "<div class='bar' role='img' aria-label='Parts of the score: {}'>{}</div>"
        "<div class='legend'>{}</div>"
    ).format(description, segments, legend)


def score_parts(hit: Hit) -> list[tuple[str, str, float]]:
    """Name, leg and value of each part of a hit's score before reranking."""
    explanation = hit.explanation
    if explanation is None or not explanation.parts:
        kind = next((name for name, leg_score in hit.legs.items() if leg_score), "dense")
        return [("score", kind, hit.score)]
    return [
        (_LEG_NAMES[name], name, weight * normalised)
        for name, (weight, normalised) in explanation.parts.items()
    ]


def _show_surroundings(name: str, searched: MarkedResult, chunk: Chunk) -> None:
    before, after = workspace().searching.neighbours(name, chunk, _NEIGHBOURS)
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
