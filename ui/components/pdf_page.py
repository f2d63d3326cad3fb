"""Pictures of PDF pages, with a passage marked."""

from pathlib import Path

import streamlit as st

from twotower.retrieval.vocabulary.documents import Chunk
from twotower.ui.resources import workspace
from twotower.ui.safe import plain


def show_page(name: str, source: str, chunk: Chunk, key: str) -> None:
    """Show the pages that contain a passage, one at a time.

    Raises
    ------
    DocumentError
        If the page cannot be drawn.
    """
    path = workspace().documents.file(name, source)
    if path is None:
        st.info(
            "The file is no longer on this machine, or it was moved after it was ingested.",
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
    _show_picture(path, source, number, chunk)


def _show_picture(path: Path, source: str, number: int, chunk: Chunk | None) -> None:
    with st.spinner("Drawing the page", show_time=False):
        picture = workspace().page_images.draw(path, number, chunk)
    suffix = "with the passage marked" if chunk else ""
    st.image(
        picture,
        width=760,
        output_format="PNG",
        alt=f"Page {number} of {plain(source)} {suffix}".strip(),
    )


def show_pages(name: str, source: str, pages: int, key: str) -> None:
    """Show a PDF page by page."""
    path = workspace().documents.file(name, source)
    if path is None:
        st.info("The file is no longer on this machine.", icon=":material/draft:")
        return
    number = 1
    if pages > 1:
        number = int(
            st.number_input(f"Page (1 to {pages})", 1, pages, 1, key=f"leaf-{key}", width=160)
        )
    _show_picture(path, source, number, None)
