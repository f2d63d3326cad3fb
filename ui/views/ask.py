"""Ask page: a conversation with answers from the documents."""

import streamlit as st

from twotower.app.answering.answer import Answer
from twotower.app.services.asking import answer_question
from twotower.retrieval.vocabulary.errors import TwoTowerError
from twotower.ui.components.answer import partial_html, show_answer
from twotower.ui.components.frame import show_for_collection
from twotower.ui.components.notices import empty
from twotower.ui.resources import workspace
from twotower.ui.safe import label

Turn = tuple[str, Answer | None, str]  # question, answer, error message (one of the last two)


def show() -> None:
    """Show the page."""
    st.html("<h1 class='sr-only'>Ask your documents</h1>")
    show_for_collection(_show, "Nothing to ask yet", "forum")


def _show_model(talk: list[Turn]) -> None:
    """Show which language model writes the answers."""
    llm = workspace().settings.llm
    if llm:
        st.caption("Answers are written by")
        st.text(llm)
    else:
        st.info(
            "No language model is set, so answers are quoted from the documents. Set "
            "`TWOTOWER_LLM`, for example to `ollama:qwen3`, to let a model write them.",
            icon=":material/format_quote:",
        )
    if talk:
        st.button("New conversation", icon=":material/refresh:", on_click=talk.clear)


def _show(name: str) -> None:
    talk: list[Turn] = st.session_state.setdefault(f"talk-{name}", [])
    with st.sidebar:
        _show_model(talk)
    for number, turn in enumerate(talk):
        _show_turn(name, turn, number)
    question = st.chat_input(
        "Ask about your documents",
        max_chars=workspace().settings.max_question_chars,
        submit_mode="stop",
    )
    if not question or not question.strip():
        if not talk:
            empty(
                "Ask your documents",
                "Each answer cites its sources. Select a source to read the passage. Press `/` to "
                "go to the question box.",
                "forum",
            )
        return
    with st.chat_message("user", avatar=":material/person:"):
        st.text(question)
    with st.chat_message("assistant", avatar=":material/account_balance:"):
        container = st.empty()
        answer, error = _answer(name, question, talk, container)
        container.empty()
    talk.append((question, answer, error))
    st.rerun()


def _answer(
    name: str,
    question: str,
    talk: list[Turn],
    container: "st.delta_generator.DeltaGenerator",
) -> tuple[Answer | None, str]:
    """Answer, showing the text as it arrives; an error becomes part of the conversation."""
    pieces: list[str] = []

    def show_piece(piece: str) -> None:
        pieces.append(piece)
        container.html(partial_html("".join(pieces)))

    history = [answer for _, answer, _ in talk if answer is not None]
    container.caption("Searching for passages …")
    try:
        return answer_question(workspace().application, name, question, history, show_piece), ""
    except TwoTowerError as error:
        return None, str(error)


def _show_turn(name: str, turn: Turn, number: int) -> None:
    question, answer, error = turn
    with st.chat_message("user", avatar=":material/person:"):
        st.text(question)
    with st.chat_message("assistant", avatar=":material/account_balance:"):
        if answer is None:
            st.warning(label(error), icon=":material/error:")
        else:
            show_answer(name, answer, str(number))
