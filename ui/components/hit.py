"""One hit: where it stands, why it was found, its page, and what is around it."""

from collections.abc import Mapping, Sequence

import streamlit as st
from markupsafe import Markup

from app.hits import window
from app.labels import place_of
from app.workspace import Searched
from retrieval.errors import TwoTowerError
from retrieval.types import Chunk, Explanation, Hit
from ui.components.notices import show_error
from ui.components.pages_of import show_page
from ui.resources import workspace
from ui.safe import marked, plain

_TEXT = 560  # characters of a passage that are shown first
_TERMS = 14
_REACH = 2  # passages before and after
_NAMES = {"dense": "meaning", "bm25": "words"}
_VERDICTS = {1: "Relevant", 0: "Not relevant"}


def show_hit(
    name: str,
    searched: Searched,
    hit: Hit,
    key: str,
    *,
    moved: str = "",
    judged: int | None = None,
    labelling: bool = False,
) -> None:
    """Show one hit as a card.

    Parameters
    ----------
    name
        The collection.
    key
        That no other card of the page has.
    moved
        How its rank compares with another ranking's; empty where none is compared.
    judged
        What the person has said of it for this question.
    """
    _show(name, searched, hit, key, moved, judged, labelling)


@st.fragment
def _show(
    name: str,
    searched: Searched,
    hit: Hit,
    key: str,
    moved: str,
    judged: int | None,
    labelling: bool,
) -> None:
    """The card: a part of the page that runs by itself when something of it is opened.

    The border is drawn around the fragment's own container (`style.css`): one more would cost each
    search as many messages to the browser as there are hits.
    """
    where = hit.chunk.provenance
    st.html(_card(hit, searched, moved))
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
            _why(name, searched, hit)
    except TwoTowerError as error:
        show_error(error)
    if labelling:
        _verdict(name, searched.question, hit.chunk, key, judged)


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
        "<article class='hit card' data-q='{}'><div class='head'><span class='rank'>{}</span><h3>{}</h3>{}"
        "<span class='score'>{:.3f}</span></div><div class='place'>{}</div>{}{}"
        "<p class='text'>{}</p></article>"
    ).format(
        searched.question,
        hit.rank,
        plain(where.title or where.source),
        way,
        hit.score,
        plain(place),
        headings,
        score_bar(hit),
        excerpt(hit.chunk.text, marks),
    )


def excerpt(text: str, marks: Sequence[tuple[int, int]], size: int = _TEXT) -> Markup:
    """The stretch of a passage with the most marked words, as HTML."""
    start, end = window(text, marks, size)
    inside = [(a - start, b - start) for a, b in marks if start <= a and b <= end]
    shown = marked(text[start:end], inside)
    return Markup("{}{}{}").format("…" if start else "", shown, "…" if end < len(text) else "")


def score_bar(hit: Hit) -> Markup:
    """A hit's score as a bar, split into what each leg adds to it where the fusion tells."""
    parts = shares(hit)
    said = ", ".join(f"{value:.2f} from {name}" for name, _, value in parts)
    segments = Markup("").join(
        Markup("<i class='{}' style='width:{:.1f}%'></i>").format(kind, 100 * max(min(value, 1), 0))
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


def _why(name: str, searched: Searched, hit: Hit) -> None:
    """The explanation, drawn: ranks and scores of the legs, the words, the closest sentence."""
    explanation = hit.explanation
    if explanation is None:
        return
    sentence = None
    if searched.options.mode != "bm25":
        sentence = workspace().closest(name, searched.question, hit.chunk)
    st.html(
        Markup("<div class='why'>{}{}{}</div>").format(
            _legs_table(hit, explanation),
            _terms(explanation),
            _reranked(hit),
        )
    )
    if sentence is not None:
        text = plain(hit.chunk.text[sentence.start : sentence.end])
        st.html(
            Markup(
                "<div class='why'><div class='state'>The sentence closest to the question "
                "(cosine {:.2f})</div><div class='passage'><mark class='closest'>{}</mark></div>"
                "</div>"
            ).format(sentence.similarity, " ".join(text.split()))
        )


def _legs_table(hit: Hit, explanation: Explanation) -> Markup:
    rows = []
    for leg, place in hit.legs.items():
        weight, normalised = explanation.parts.get(leg, (None, None))
        cells: Mapping[str, str] = {
            "rank": "–" if place is None or place.rank is None else str(place.rank),
            "score": "–" if place is None else f"{place.score:.3f}",
            "normalised": "–" if normalised is None else f"{normalised:.3f}",
            "weight": "–" if weight is None else f"{weight:.2f}",
            "adds": "–" if weight is None else f"{weight * (normalised or 0):.3f}",
        }
        numbers = Markup("").join(
            Markup("<td class='number'>{}</td>").format(cell) for cell in cells.values()
        )
        rows.append(
            Markup(
                "<tr><td><span class='legend'><span><i class='{}'></i>{}</span></span></td>{}</tr>"
            ).format(leg, "Meaning (dense)" if leg == "dense" else "Words (BM25)", numbers)
        )
    heads = Markup("").join(
        Markup("<th scope='col' class='number'>{}</th>").format(head)
        for head in ("rank", "score", "normalised", "weight", "adds")
    )
    return Markup(
        "<div class='wide' tabindex='0' role='region' aria-label='Scores of the legs'><table>"
        "<thead><tr><th scope='col'>leg</th>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(heads, Markup("").join(rows))


def _terms(explanation: Explanation) -> Markup:
    if not explanation.terms:
        return Markup("")
    chips = Markup("").join(
        Markup("<span class='chip{}'>{} <b>{}</b></span>").format(
            "" if term.weight else " absent",
            plain(term.term),
            f"{term.score:.2f}" if term.weight else "",
        )
        for term in explanation.terms[:_TERMS]
    )
    return Markup(
        "<div class='state'>Words of the question, with what each adds to BM25; struck through: "
        "not in the passage</div><div class='terms'>{}</div>"
    ).format(chips)


def _reranked(hit: Hit) -> Markup:
    if hit.reranked is None:
        return Markup("")
    moved = hit.reranked.moved
    way = f"moved it {abs(moved)} {'up' if moved > 0 else 'down'}" if moved else "left it in place"
    return Markup("<div class='state'>The reranker gave {:.3f} and {}.</div>").format(
        hit.reranked.score, way
    )
