"""What the page says when something is empty, busy or wrong."""

import streamlit as st

from retrieval.errors import ConfigurationError, DocumentError, IndexMismatch, InUse, TwoTowerError
from ui.safe import label


def show_error(error: Exception) -> None:
    """Show an error as what a person can do about it."""
    if isinstance(error, InUse):
        st.warning(
            f"**The collection is busy.** {label(str(error))}", icon=":material/hourglass_top:"
        )
        st.button("Try again", key=f"again-{id(error)}")  # several parts may be busy at once
    elif isinstance(error, IndexMismatch):
        st.error(
            f"**The collection was built otherwise.** {label(str(error))}", icon=":material/rule:"
        )
    elif isinstance(error, ConfigurationError | DocumentError):
        st.warning(label(str(error)), icon=":material/info:")
    elif isinstance(error, TwoTowerError):
        st.error(label(str(error)), icon=":material/error:")
    else:
        st.error(
            f"**This is a bug in twotower.** {label(f'{type(error).__name__}: {error}')}",
            icon=":material/bug_report:",
        )


def empty(title: str, text: str, icon: str) -> None:
    """Show that there is nothing yet, and what to do next."""
    with st.container(key="empty", horizontal_alignment="center"):
        st.markdown(f"### :material/{icon}: {title}", text_alignment="center")
        st.markdown(text, text_alignment="center")
