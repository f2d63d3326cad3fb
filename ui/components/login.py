"""Who may see the page: everybody on this machine, who knows the password, or who is logged in."""

import hmac
import time

import streamlit as st

from ui.resources import has_login, workspace
from ui.safe import label

_PAUSE = 1.0  # seconds after a wrong password


def require_login() -> None:
    """Stop the page here for those who may not see it."""
    password = workspace().settings.ui_password.get_secret_value()
    if has_login():
        if not st.user.is_logged_in:
            _welcome("Log in to search these documents.")
            st.button("Log in", type="primary", on_click=st.login)
            st.stop()
        return
    if not password or st.session_state.get("let_in"):
        return
    _welcome("This page asks for a password.")
    with st.form("login", border=False, width=420):
        given = st.text_input("Password", type="password", autocomplete="current-password")
        asked = st.form_submit_button("Open", type="primary")
    if asked:
        if hmac.compare_digest(given.encode(), password.encode()):
            st.session_state["let_in"] = True
            st.rerun()
        time.sleep(_PAUSE)
        st.error("That is not the password.", icon=":material/lock:")
    st.stop()


def show_visitor() -> None:
    """Tell who is logged in, and let her out."""
    if has_login() and st.user.is_logged_in:
        with st.sidebar:
            st.caption(label(str(st.user.get("email") or st.user.get("name") or "logged in")))
            st.button("Log out", icon=":material/logout:", on_click=st.logout)


def _welcome(text: str) -> None:
    st.title("twotower")
    st.write(text)
