"""A page of a document as it looks, with a passage marked on it."""

from pathlib import Path

import streamlit as st

from retrieval.types import Chunk
from ui.resources import workspace
from ui.safe import plain


def show_page(name: str, source: str, chunk: Chunk, key: str) -> None:
    """Show the pages that a passage stands on, one at a time.

    Raises
    ------
    DocumentError
        If the page cannot be drawn.
    """
    path = workspace().file_of(name, source)
    if path is None:
        st.info(
            "The file is not on this machine any more, or not where it was ingested from.",
            icon=":material/draft:",
        )
        return
    numbers = sorted({box[0] for box in chunk.provenance.boxes}) or [1]
    number = numbers[0]
    if len(numbers) > 1:
        number = st.segmented_control(
            "Page",
            numbers,
            default=numbers[0],
            required=True,
            format_func=lambda number: f"Page {number}",
            key=f"page-{key}",
        )
    _picture(path, source, number, chunk)


def _picture(path: Path, source: str, number: int, chunk: Chunk | None) -> None:
    with st.spinner("Drawing the page", show_time=False):
        drawn = workspace().page(path, number, chunk)
    what = "with the passage marked" if chunk else ""
    st.image(
        drawn,
        width=760,
        output_format="PNG",
        alt=f"Page {number} of {plain(source)} {what}".strip(),
    )


def leaf_through(name: str, source: str, pages: int, key: str) -> None:
    """Show a PDF page by page."""
    path = workspace().file_of(name, source)
    if path is None:
        st.info("The file is not on this machine any more.", icon=":material/draft:")
        return
    number = 1
    if pages > 1:
        number = int(
            st.number_input(f"Page, of {pages}", 1, pages, 1, key=f"leaf-{key}", width=160)
        )
    _picture(path, source, number, None)
