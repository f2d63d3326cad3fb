"""Search page: a question and its hits, with filters, comparison, labels and export."""

import json

import streamlit as st
from markupsafe import Markup
from streamlit.delta_generator import DeltaGenerator

from twotower.app.services.exports import search_json, to_csv, to_markdown
from twotower.app.services.labels import label_location
from twotower.app.services.searching import MarkedResult
from twotower.retrieval.vocabulary.errors import TwoTowerError
from twotower.ui.components.compare import show_compared
from twotower.ui.components.frame import show_for_collection
from twotower.ui.components.hit import show_hits
from twotower.ui.components.notices import empty, show_error
from twotower.ui.components.settings import SearchChoice, choose_search
from twotower.ui.resources import workspace
from twotower.ui.safe import label, plain


def show() -> None:
    """Show the page."""
    st.html("<h1 class='sr-only'>Search your documents</h1>")
    show_for_collection(_show, "Nothing to search yet", "inbox")


def _show(name: str) -> None:
    with st.sidebar:
        choice = choose_search(name)
    _question_and_hits(name, choice)


@st.fragment
def _question_and_hits(name: str, choice: SearchChoice) -> None:
    """The question box and the hits: a new question runs only this part of the page."""
    question = st.text_input(
        "Question",
        key="q",
        bind="query-params",
        type="search",
        placeholder='Type a question; put "exact words" in quotes',
        label_visibility="collapsed",
        icon=":material/search:",
        max_chars=workspace().settings.max_question_chars,
    )
    try:
        if question and question.strip():
            _show_results(name, question, choice)
        else:
            _show_welcome(name)
    except TwoTowerError as error:
        show_error(error)


def _show_welcome(name: str) -> None:
    with workspace().opened(name) as collection:
        documents, chunks = collection.count("document"), collection.count("chunk")
    empty(
        "What do you want to know?",
        f"{documents:,} documents, {chunks:,} passages in **{label(name)}**. Press `/` to go to "
        "the search box and Enter to search.",
        "search",
    )


def _show_results(name: str, question: str, choice: SearchChoice) -> None:
    searched = workspace().searching.search(name, question, choice.overrides)
    if not searched.result.hits:
        empty(
            "Nothing found",
            "No passage matches. Try it without filters or quotes, or search by **Hybrid**.",
            "search_off",
        )
        return
    _record_search(name, searched)
    head = st.container(horizontal=True, vertical_alignment="center")
    _show_summary(searched, head)
    _show_ranking(name, searched, choice)
    with head:  # after the hits, which the visitor waits for
        _show_export(searched)


def _record_search(name: str, searched: MarkedResult) -> None:
    """Write a search to the click log, once: the page runs again with each press of a button."""
    result = searched.result
    shown = [label_location(hit.chunk) for hit in result.hits]
    if st.session_state.get("recorded") != (name, result.question, shown):
        st.session_state["recorded"] = (name, result.question, shown)
        workspace().clicks(name).record(result.question, shown)


def _show_ranking(name: str, searched: MarkedResult, choice: SearchChoice) -> None:
    question = searched.result.question
    if choice.compared_overrides is not None:
        second = workspace().searching.search(name, question, choice.compared_overrides)
        show_compared(name, searched, second)
        return
    labels = workspace().labels(name).of(question) if choice.labelling else None
    show_hits(name, searched, labels=labels)


def _show_summary(searched: MarkedResult, container: DeltaGenerator) -> None:
    hits = searched.result.hits
    milliseconds = searched.result.seconds * 1000
    container.html(
        Markup("<div class='state' role='status' data-took='{:.1f}'>{} in {:.0f} ms</div>").format(
            milliseconds, f"{len(hits)} hits" if len(hits) > 1 else "1 hit", milliseconds
        )
    )
    for phrase in searched.result.ignored_phrases:
        st.info(
            f'No passage contains "{plain(phrase)}": searched without it.', icon=":material/info:"
        )
    judgement = searched.result.judgement
    if judgement.answerable == "false":
        st.warning(
            "The passages probably do not answer this. Estimated probability that they do: "
            f"{judgement.probability:.0%}.",
            icon=":material/help:",
        )
    if searched.result.out_of_time:
        st.info(
            "Reranking stopped early because its time limit was reached.", icon=":material/timer:"
        )


def _show_export(searched: MarkedResult) -> None:
    question, hits = searched.result.question, searched.result.hits
    with st.popover("Export", icon=":material/download:", type="tertiary"):
        st.download_button(
            "JSON",
            lambda: json.dumps(
                search_json(searched.result),
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
