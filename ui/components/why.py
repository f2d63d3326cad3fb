"""Explanation of a hit's rank."""

from collections.abc import Mapping

import streamlit as st
from markupsafe import Markup

from twotower.app.services.searching import MarkedResult
from twotower.retrieval.search.results import Explanation, Hit
from twotower.ui.resources import workspace
from twotower.ui.safe import plain

_TERMS = 14  # words of the question that are shown


def show_why(name: str, searched: MarkedResult, hit: Hit) -> None:
    """Show the ranks and scores of the legs, the words, and the closest sentence."""
    explanation = hit.explanation
    if explanation is None:
        return
    sentence = None
    if searched.result.options.mode != "bm25":
        sentence = workspace().searching.closest(name, searched.result.question, hit.chunk)
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
                "(cosine similarity {:.2f})</div><div class='passage'>"
                "<mark class='closest'>{}</mark></div></div>"
            ).format(sentence.similarity, " ".join(text.split()))
        )


def _legs_table(hit: Hit, explanation: Explanation) -> Markup:
    rows = []
    for leg, leg_score in hit.legs.items():
        weight, normalised = explanation.parts.get(leg, (None, None))
        cells: Mapping[str, str] = {
            "rank": "–" if leg_score is None or leg_score.rank is None else str(leg_score.rank),
            "score": "–" if leg_score is None else f"{leg_score.score:.3f}",
            "normalised score": "–" if normalised is None else f"{normalised:.3f}",
            "weight": "–" if weight is None else f"{weight:.2f}",
            "contribution": "–" if weight is None else f"{weight * (normalised or 0):.3f}",
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
        for head in ("rank", "score", "normalised score", "weight", "contribution")
    )
    return Markup(
        "<div class='wide' tabindex='0' role='region' aria-label='Score of each search'><table>"
        "<thead><tr><th scope='col'>search by</th>{}</tr></thead><tbody>{}</tbody></table></div>"
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
        "<div class='state'>Words of the question, with their part of the BM25 score. The passage "
        "does not contain the words that are struck through.</div><div class='terms'>{}</div>"
    ).format(chips)


def _reranked(hit: Hit) -> Markup:
    if hit.reranked is None:
        return Markup("")
    moved = hit.reranked.rank_change
    change = "did not move the hit"
    if moved:
        change = f"moved the hit {'up' if moved > 0 else 'down'} by {abs(moved)}"
    return Markup("<div class='state'>The reranker gave the score {:.3f} and {}.</div>").format(
        hit.reranked.score, change
    )
