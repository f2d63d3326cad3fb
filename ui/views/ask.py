"""Ask: a conversation that is grounded in the documents."""

import streamlit as st

from app.answer import Answer
from retrieval.errors import TwoTowerError
from ui.components.answer import show_answer, streamed
from ui.components.frame import over_collection
from ui.components.notices import empty
from ui.resources import workspace
from ui.safe import label

Turn = tuple[str, Answer | None, str]  # what was asked, what was answered, or what went wrong


def show() -> None:
    """Show the page."""
    st.html("<h1 class='sr-only'>Ask your documents</h1>")
    over_collection(_talk, "Nothing to ask yet", "forum")


def _model(talk: list[Turn]) -> None:
    """Say what answers."""
    llm = workspace().settings.llm
    if llm:
        st.caption("Answers are written by")
        st.text(llm)
    else:
        st.info(
            "No language model is set, so answers are quoted from the documents. "
            "`TWOTOWER_LLM=ollama:qwen3` has one on this machine write them.",
            icon=":material/format_quote:",
        )
    if talk:
        st.button("New conversation", icon=":material/refresh:", on_click=talk.clear)


def _talk(name: str) -> None:
    talk: list[Turn] = st.session_state.setdefault(f"talk-{name}", [])
    with st.sidebar:
        _model(talk)
    for number, (question, answer, problem) in enumerate(talk):
        _turn(name, question, answer, problem, number)
    asked = st.chat_input(
        "Ask about your documents",
        max_chars=workspace().settings.max_question_chars,
        submit_mode="stop",
    )
    if not asked or not asked.strip():
        if not talk:
            empty(
                "Ask your documents",
                "The answer cites the passages that it comes from; open them by their numbers. "
                "Press `/` to come to the box.",
                "forum",
            )
        return
    with st.chat_message("user", avatar=":material/person:"):
        st.text(asked)
    with st.chat_message("assistant", avatar=":material/account_balance:"):
        place = st.empty()
        answer, problem = _answered(name, asked, talk, place)
        place.empty()
    talk.append((asked, answer, problem))
    st.rerun()


def _answered(
    name: str,
    asked: str,
    talk: list[Turn],
    place: "st.delta_generator.DeltaGenerator",
) -> tuple[Answer | None, str]:
    """Answer, showing the text as it comes; what went wrong is part of the conversation."""
    pieces: list[str] = []

    def told(piece: str) -> None:
        pieces.append(piece)
        place.html(streamed("".join(pieces)))

    history = [answer for _, answer, _ in talk if answer is not None]
    place.caption("Looking for passages …")
    try:
        return workspace().answer(name, asked, history, told), ""
    except TwoTowerError as error:
        return None, str(error)


def _turn(name: str, question: str, answer: Answer | None, problem: str, number: int) -> None:
    with st.chat_message("user", avatar=":material/person:"):
        st.text(question)
    with st.chat_message("assistant", avatar=":material/account_balance:"):
        if answer is None:
            st.warning(label(problem), icon=":material/error:")
        else:
            show_answer(name, answer, str(number))
