"""First step of every page: choose the collection and check that it exists."""

from collections.abc import Callable

import streamlit as st

from twotower.retrieval.vocabulary.errors import TwoTowerError
from twotower.ui.components.notices import empty, show_error
from twotower.ui.components.settings import choose_collection
from twotower.ui.resources import workspace

_NEXT_STEP = (
    "Add documents on the [Documents](/documents) page, or run `twotower ingest PATH` in a "
    "terminal."
)


def show_for_collection(show: Callable[[str], None], empty_title: str, icon: str) -> None:
    """Show a page for the chosen collection; errors are shown on the page.

    Parameters
    ----------
    show
        Function that shows the page, given the name of the collection.
    empty_title
        Title of the notice where the collection does not exist yet; the next step follows it.
    """
    try:
        with st.sidebar:
            name = choose_collection()
        if name in workspace().names():
            show(name)
        else:
            empty(empty_title, _NEXT_STEP, icon)
    except TwoTowerError as error:
        show_error(error)
