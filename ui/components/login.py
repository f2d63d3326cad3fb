"""A login by OpenID Connect, where one is configured; the password stands before all this."""

import streamlit as st

from ui.resources import has_login
from ui.safe import label


def require_login() -> None:
    """Stop the page here for those who are not logged in."""
    if has_login() and not st.user.is_logged_in:
        st.title("twotower")
        st.write("Log in to search these documents.")
        st.button("Log in", type="primary", on_click=st.login)
        st.stop()


def show_visitor() -> None:
    """Tell who is logged in, and let her out."""
    if has_login() and st.user.is_logged_in:
        with st.sidebar:
            st.caption(label(str(st.user.get("email") or st.user.get("name") or "logged in")))
            st.button("Log out", icon=":material/logout:", on_click=st.logout)
