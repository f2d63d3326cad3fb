"""Why a hit stands where it does, drawn."""

from collections.abc import Mapping

import streamlit as st
from markupsafe import Markup

from app.workspace import Searched
from retrieval.types import Explanation, Hit
from ui.resources import workspace
from ui.safe import plain

_TERMS = 14


def show_why(name: str, searched: Searched, hit: Hit) -> None:
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
