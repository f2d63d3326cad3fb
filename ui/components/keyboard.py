"""Keyboard shortcut: `/` moves the cursor to the question box."""

import streamlit as st

_SCRIPT = """
<script>
if (!window.twotowerKeys) {
  window.twotowerKeys = true;
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const box = document.querySelector(
      ".st-key-q input, [data-testid='stChatInputTextArea']"
    );
    if (!box) return;
    event.preventDefault();
    box.focus();
    if (box.select) box.select();
  });
}
</script>
"""


def listen() -> None:
    """Install the shortcut, once for each page."""
    st.html(_SCRIPT, unsafe_allow_javascript=True)
