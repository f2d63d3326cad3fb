"""Two rankings for one question, side by side, with the changes of rank."""

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from twotower.app.services.searching import MarkedResult
from twotower.ui.components.hit import show_hits
from twotower.ui.components.settings import describe_search
from twotower.ui.safe import plain

_SOURCE_CHARACTERS = 44  # the last characters of a source are shown


def show_compared(name: str, first: MarkedResult, second: MarkedResult) -> None:
    """Show both rankings, and a chart of the changes of rank."""
    ranks = {hit.chunk.id: hit.rank for hit in first.result.hits}
    st.altair_chart(
        _rank_chart(first, second),
        width="stretch",
        alt="Rank of each passage in both rankings, joined by a line",
    )
    changes = {
        hit.chunk.id: _rank_change(ranks.get(hit.chunk.id), hit.rank) for hit in second.result.hits
    }
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(_title("A", first))
        show_hits(name, first, "a")
    with right:
        st.markdown(_title("B", second))
        show_hits(name, second, "b", rank_changes=changes)


def _title(letter: str, searched: MarkedResult) -> str:
    result = searched.result
    return f"**{letter}: {describe_search(result.options)}** · {result.seconds * 1000:.0f} ms"


def _rank_change(before: int | None, rank: int) -> str:
    if before is None:
        return "new"
    step = before - rank
    return f"{'▲' if step > 0 else '▼'}{abs(step)}" if step else ""


def _rank_chart(first: MarkedResult, second: MarkedResult) -> Any:
    titles = [
        f"A: {describe_search(first.result.options)}",
        f"B: {describe_search(second.result.options)}",
    ]
    rows = [
        {
            "search": title,
            "rank": hit.rank,
            "id": str(hit.chunk.id),
            "passage": plain(hit.chunk.provenance.source)[-_SOURCE_CHARACTERS:],
        }
        for title, searched in zip(titles, (first, second), strict=True)
        for hit in searched.result.hits
    ]
    frame = pd.DataFrame(rows)
    last_rank = max(len(first.result.hits), len(second.result.hits))
    base = alt.Chart(frame).encode(
        x=alt.X("search:N", title=None, sort=titles, axis=alt.Axis(labelAngle=0, labelLimit=400)),
        y=alt.Y(
            "rank:Q",
            scale=alt.Scale(reverse=True, nice=False, domain=[0.5, last_rank + 0.5]),
            axis=alt.Axis(tickMinStep=1, format="d"),
            title="rank",
        ),
        tooltip=["passage:N", "rank:Q", "search:N"],
    )
    lines = base.mark_line(opacity=0.75, strokeWidth=2).encode(
        detail="id:N", color=alt.Color("passage:N", legend=None)
    )
    dots = base.mark_circle(size=70, opacity=1).encode(color=alt.Color("passage:N", legend=None))
    return (lines + dots).properties(height=260)
