"""What all visitors of the page share."""

from contextlib import suppress

import streamlit as st

from app.settings import Settings, load_settings
from app.workspace import Workspace
from retrieval.errors import TwoTowerError

_chosen: list[Settings] = []


def use(settings: Settings) -> None:
    """Serve with these settings, in place of those of the environment."""
    _chosen[:] = [settings]


@st.cache_resource(show_spinner=False)
def workspace() -> Workspace:
    """The one index, its retriever and its jobs."""
    return Workspace(_chosen[0] if _chosen else load_settings())


def warm_up() -> None:
    """Load the encoder before the first question comes."""
    with suppress(TwoTowerError):  # the page says so, to whom it concerns
        workspace().application.encoder().encode_questions(["ready"])


def close() -> None:
    """End what runs, and let go of the index."""
    workspace().close()
    workspace.clear()


def has_login() -> bool:
    """Whether a login by OpenID Connect is configured, as Streamlit wants it."""
    with suppress(Exception):  # the library's own, for a file that is missing or malformed
        return "auth" in st.secrets
    return False
