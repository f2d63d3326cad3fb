"""What every page does first: the collection is chosen, and is there."""

from collections.abc import Callable

import streamlit as st

from retrieval.errors import TwoTowerError
from ui.components.notices import empty, show_error
from ui.components.settings import choose_collection
from ui.resources import workspace

_NEXT = (
    "Bring documents in on the [Documents](/documents) page, or run `twotower ingest PATH` in a "
    "terminal."
)


def over_collection(show: Callable[[str], None], nothing: str, icon: str) -> None:
    """Show a page over the chosen collection; what goes wrong is part of the page.

    Parameters
    ----------
    show
        Given the collection's name.
    nothing
        What the page says where there is none yet, beside the next step.
    """
    try:
        with st.sidebar:
            name = choose_collection()
        if name in workspace().names():
            show(name)
        else:
            empty(nothing, _NEXT, icon)
    except TwoTowerError as error:
        show_error(error)
