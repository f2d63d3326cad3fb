"""Two rankings of one question, side by side, with what moved."""

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from app.workspace import Searched
from ui.components.hit import show_hits
from ui.components.settings import way
from ui.safe import plain

_SHOWN = 44  # characters of a source


def show_compared(name: str, first: Searched, second: Searched) -> None:
    """Show both, and the changes of rank drawn between them."""
    ranks = {hit.chunk.id: hit.rank for hit in first.hits}
    st.altair_chart(
        _slopes(first, second),
        width="stretch",
        alt="Ranks of the passages in both rankings, joined by lines",
    )
    moves = {hit.chunk.id: _moved(ranks.get(hit.chunk.id), hit.rank) for hit in second.hits}
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(_title("A", first))
        show_hits(name, first, "a")
    with right:
        st.markdown(_title("B", second))
        show_hits(name, second, "b", moves=moves)


def _title(letter: str, searched: Searched) -> str:
    return f"**{letter}: {way(searched.options)}** · {searched.seconds * 1000:.0f} ms"


def _moved(before: int | None, rank: int) -> str:
    if before is None:
        return "new"
    step = before - rank
    return f"{'▲' if step > 0 else '▼'}{abs(step)}" if step else ""


def _slopes(first: Searched, second: Searched) -> Any:
    ways = [f"A: {way(first.options)}", f"B: {way(second.options)}"]
    rows = [
        {
            "way": title,
            "rank": hit.rank,
            "id": str(hit.chunk.id),
            "passage": plain(hit.chunk.provenance.source)[-_SHOWN:],
        }
        for title, searched in zip(ways, (first, second), strict=True)
        for hit in searched.hits
    ]
    frame = pd.DataFrame(rows)
    most = max(len(first.hits), len(second.hits))
    base = alt.Chart(frame).encode(
        x=alt.X("way:N", title=None, sort=ways, axis=alt.Axis(labelAngle=0, labelLimit=400)),
        y=alt.Y(
            "rank:Q",
            scale=alt.Scale(reverse=True, nice=False, domain=[0.5, most + 0.5]),
            axis=alt.Axis(tickMinStep=1, format="d"),
            title="rank",
        ),
        tooltip=["passage:N", "rank:Q", "way:N"],
    )
    lines = base.mark_line(opacity=0.75, strokeWidth=2).encode(
        detail="id:N", color=alt.Color("passage:N", legend=None)
    )
    dots = base.mark_circle(size=70, opacity=1).encode(color=alt.Color("passage:N", legend=None))
    return (lines + dots).properties(height=260)
