"""Frame of the page: login, style and navigation."""

from pathlib import Path

import streamlit as st

from twotower.ui.components.keyboard import listen
from twotower.ui.components.login import require_login, show_visitor
from twotower.ui.views import ask, documents, index, quality, search

_FOLDER = Path(__file__).parent


def main() -> None:
    """Show one page to one visitor."""
    st.set_page_config(
        page_title="twotower",
        page_icon=str(_FOLDER / "icon.svg"),
        layout="wide",
        menu_items={"Get help": None, "Report a bug": None, "About": None},
    )
    st.html(_FOLDER / "style.css")
    require_login()
    pages = [
        st.Page(search.show, title="Search", icon=":material/search:", default=True),
        st.Page(ask.show, title="Ask", icon=":material/forum:", url_path="ask"),
        st.Page(
            documents.show, title="Documents", icon=":material/folder_open:", url_path="documents"
        ),
        st.Page(quality.show, title="Quality", icon=":material/monitoring:", url_path="quality"),
        st.Page(index.show, title="Index", icon=":material/database:", url_path="index"),
    ]
    chosen = st.navigation(pages, position="top")
    st.logo(str(_FOLDER / "logo.svg"), icon_image=str(_FOLDER / "icon.svg"), size="large")
    listen()
    chosen.run()
    show_visitor()
