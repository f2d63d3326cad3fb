"""Resources that all visitors of the page share."""

from contextlib import suppress

import streamlit as st

from twotower.app.services.workspace import Workspace
from twotower.app.settings import Settings, load_settings
from twotower.retrieval.vocabulary.errors import TwoTowerError

_settings: list[Settings] = []


def use_settings(settings: Settings) -> None:
    """Serve the page with these settings in place of those from the environment."""
    _settings[:] = [settings]


@st.cache_resource(show_spinner=False)
def workspace() -> Workspace:
    """The index, its retrievers and its jobs, once for all visitors."""
    return Workspace(_settings[0] if _settings else load_settings())


def warm_up() -> None:
    """Load the encoder before the first question arrives."""
    with suppress(TwoTowerError):  # the page shows it to the visitor who needs the encoder
        workspace().application.encoder().encode_questions(["ready"])


def close() -> None:
    """Stop the jobs and close the index."""
    workspace().close()
    workspace.clear()


def has_login() -> bool:
    """Whether a login by OpenID Connect is configured in Streamlit's secrets."""
    with suppress(Exception):  # Streamlit's own error where the file is missing or malformed
        return "auth" in st.secrets
    return False
