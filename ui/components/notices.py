"""Notices for pages that are empty, busy or in error."""

import streamlit as st

from twotower.retrieval.vocabulary.errors import (
    ConfigurationError,
    DocumentError,
    IndexMismatch,
    InUse,
    TwoTowerError,
)
from twotower.ui.safe import label


def show_error(error: Exception) -> None:
    """Show an error, with a title and a button where they help."""
    if isinstance(error, InUse):
        st.warning(
            f"**The collection is busy.** {label(str(error))}", icon=":material/hourglass_top:"
        )
        st.button("Try again", key=f"again-{id(error)}")  # several parts of a page may be busy
    elif isinstance(error, IndexMismatch):
        st.error(
            f"**The collection was built with different settings.** {label(str(error))}",
            icon=":material/rule:",
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
    """Show that there is nothing to show, and the next step."""
    with st.container(key="empty", horizontal_alignment="center"):
        st.markdown(f"### :material/{icon}: {title}", text_alignment="center")
        st.markdown(text, text_alignment="center")
