"""Login by OpenID Connect where it is configured; the password gate comes before it."""

import streamlit as st

from twotower.ui.resources import has_login
from twotower.ui.safe import label


def require_login() -> None:
    """Stop the page here for visitors who are not logged in."""
    if has_login() and not st.user.is_logged_in:
        st.title("twotower")
        st.write("Log in to search these documents.")
        st.button("Log in", type="primary", on_click=st.login)
        st.stop()


def show_visitor() -> None:
    """Show who is logged in, with a button to log out."""
    if has_login() and st.user.is_logged_in:
        with st.sidebar:
            st.caption(label(str(st.user.get("email") or st.user.get("name") or "logged in")))
            st.button("Log out", icon=":material/logout:", on_click=st.logout)
