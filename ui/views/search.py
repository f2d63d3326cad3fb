"""Search: a question, its hits, and everything behind them."""

import json

import streamlit as st
from markupsafe import Markup
from streamlit.delta_generator import DeltaGenerator

from app.hits import search_json, to_csv, to_markdown
from app.workspace import Searched
from retrieval.errors import TwoTowerError
from ui.components.compare import show_compared
from ui.components.frame import over_collection
from ui.components.hit import show_hits
from ui.components.notices import empty, show_error
from ui.components.settings import Chosen, choose
from ui.resources import workspace
from ui.safe import label


def show() -> None:
    """Show the page."""
    st.html("<h1 class='sr-only'>Search your documents</h1>")
    over_collection(_show, "Nothing to search yet", "inbox")


def _show(name: str) -> None:
    with st.sidebar:
        chosen = choose(name)
    _asking(name, chosen)


@st.fragment
def _asking(name: str, chosen: Chosen) -> None:
    """The box and what it finds: a question runs this much of the page, and no more."""
    question = st.text_input(
        "Question",
        key="q",
        bind="query-params",
        type="search",
        placeholder='Ask in your words; "exact words" in quotes',
        label_visibility="collapsed",
        icon=":material/search:",
        max_chars=workspace().settings.max_question_chars,
    )
    try:
        if question and question.strip():
            _results(name, question, chosen)
        else:
            _welcome(name)
    except TwoTowerError as error:
        show_error(error)


def _welcome(name: str) -> None:
    with workspace().opened(name) as collection:
        documents, chunks = collection.count("document"), collection.count("chunk")
    empty(
        "What do you want to know?",
        f"{documents:,} documents, {chunks:,} passages in **{label(name)}**. Press `/` to come to "
        "the box from anywhere, Enter to search.",
        "search",
    )


def _results(name: str, question: str, chosen: Chosen) -> None:
    searched = workspace().search(name, question, chosen.asked)
    if not searched.hits:
        empty(
            "Nothing found",
            "No passage fits. Search wider: take filters away, leave quotes out, or search by "
            "**Hybrid**.",
            "search_off",
        )
        return
    head = st.container(horizontal=True, vertical_alignment="center")
    _head(searched, head)
    _hits(name, searched, chosen)
    with head:  # after the hits: nobody waits for it
        _export(searched)


def _hits(name: str, searched: Searched, chosen: Chosen) -> None:
    question = searched.question
    if chosen.compared is not None:
        second = workspace().search(name, question, chosen.compared)
        show_compared(name, searched, second)
        return
    judged = workspace().labels(name).of(question) if chosen.labelling else None
    show_hits(name, searched, judged=judged)


def _head(searched: Searched, place: DeltaGenerator) -> None:
    hits = searched.hits
    took = searched.seconds * 1000
    place.html(
        Markup("<div class='state' role='status' data-took='{:.1f}'>{} in {:.0f} ms</div>").format(
            took, f"{len(hits)} hits" if len(hits) > 1 else "1 hit", took
        )
    )
    judgement = hits[0].judgement
    if judgement.answerable == "false":
        st.warning(
            f"Probably nothing here answers this: {judgement.probability:.0%} likely that it does.",
            icon=":material/help:",
        )
    if hits[0].out_of_time:
        st.info("Reranking was cut short by its time budget.", icon=":material/timer:")


def _export(searched: Searched) -> None:
    question, hits = searched.question, searched.hits
    with st.popover("Export", icon=":material/download:", type="tertiary"):
        st.download_button(
            "JSON",
            lambda: json.dumps(
                search_json(question, searched.options, searched.seconds * 1000, hits),
                ensure_ascii=False,
                indent=2,
            ),
            "hits.json",
            "application/json",
            on_click="ignore",
        )
        st.download_button("CSV", lambda: to_csv(hits), "hits.csv", "text/csv", on_click="ignore")
        st.download_button(
            "Markdown",
            lambda: to_markdown(question, hits),
            "hits.md",
            "text/markdown",
            on_click="ignore",
        )
