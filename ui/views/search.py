"""Search: a question, its hits, and everything behind them."""

import json

import streamlit as st
from markupsafe import escape

from app.hits import search_json, to_csv, to_markdown
from app.labels import place_of
from app.workspace import Searched
from retrieval.errors import TwoTowerError
from ui.components.compare import show_compared
from ui.components.hit import show_hit
from ui.components.notices import empty, show_error
from ui.components.settings import Chosen, choose, choose_collection
from ui.resources import workspace
from ui.safe import label


def show() -> None:
    """Show the page."""
    st.html("<h1 class='sr-only'>Search your documents</h1>")
    try:
        with st.sidebar:
            name = choose_collection()
        if name not in workspace().names():
            empty(
                "Nothing to search yet",
                "Bring documents in on the [Documents](/documents) page, or run "
                "`twotower ingest PATH` in a terminal.",
                "inbox",
            )
            return
        with st.sidebar:
            chosen = choose(name)
        _asking(name, chosen)
    except TwoTowerError as error:
        show_error(error)


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
    _head(searched)
    if chosen.compared is not None:
        second = workspace().search(name, question, chosen.compared)
        show_compared(name, searched, second)
        return
    judged = workspace().labels(name).of(question) if chosen.labelling else {}
    for hit in searched.hits:
        show_hit(
            name,
            searched,
            hit,
            str(hit.rank),
            judged=judged.get(place_of(hit.chunk)),
            labelling=chosen.labelling,
        )


def _head(searched: Searched) -> None:
    hits = searched.hits
    with st.container(horizontal=True, vertical_alignment="center"):
        count = f"{len(hits)} hits" if len(hits) > 1 else "1 hit"
        st.html(
            f"<div class='state' data-took='{searched.seconds * 1000:.1f}' data-q='{escape(searched.question)}' role='status'>"
            f"{count} in {searched.seconds * 1000:.0f} ms</div>"
        )
        _export(searched)
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
