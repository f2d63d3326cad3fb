"""The part of the Quality page that learns from labelled questions."""

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from twotower.app.services.jobs import Job
from twotower.app.services.learning import Learned
from twotower.training.verdict import DECIDES, Verdict
from twotower.ui.components.settings import MODES


def show_learned(job: Job) -> None:
    """Show whether learning paid, as one sentence, a table and a chart."""
    learned: Learned = job.result
    verdict = learned.verdict
    number = next((kept.number for kept in learned.kept.values()), None)
    hybrid = verdict.modes[DECIDES]
    if number is not None:
        st.success(
            f"Search is better with it: it is kept as question map {number} and live now. nDCG@10 "
            f"of hybrid search rose from {hybrid.before:.3f} to {hybrid.after:.3f}.",
            icon=":material/trending_up:",
        )
    else:
        st.info(
            "No gain is shown in hybrid search, so nothing was kept: nDCG@10 was "
            f"{hybrid.before:.3f} before and {hybrid.after:.3f} after.",
            icon=":material/trending_flat:",
        )
    st.dataframe(_table(verdict), hide_index=True, alt="nDCG at 10 before and after learning")
    st.altair_chart(_chart(verdict), alt="nDCG at 10 before and after learning, by search method")
    st.caption(
        f"{verdict.questions} questions in {verdict.parts} parts; each part was measured with what "
        "the other parts taught. p is the probability of such a difference by chance (paired "
        "randomisation). Only the vectors of questions change, not the index."
    )
    examples = learned.examples
    for count, what in (
        (examples.repeated, "questions occur more than once; their labels were put together."),
        (examples.contradicting, "labels contradict another one; the lower grade counts."),
        (learned.unknown, "labels name questions or documents that do not exist."),
    ):
        if count:
            st.warning(f"{count} {what}", icon=":material/rule:")


def _table(verdict: Verdict) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Search method": MODES.get(mode, mode),
                "Before": f"{one.before:.3f}",
                "After": f"{one.after:.3f}",
                "95% of the change": f"{one.low:+.3f} to {one.high:+.3f}",
                "p": f"{one.p:.3f}",
            }
            for mode, one in verdict.modes.items()
        ]
    )


def _chart(verdict: Verdict) -> Any:
    """Each mode as a line from its score before to its score after."""
    rows = pd.DataFrame(
        [
            {"method": MODES.get(mode, mode), "before": one.before, "after": one.after}
            for mode, one in verdict.modes.items()
        ]
    )
    axis = alt.Axis(title="nDCG@10")
    base = alt.Chart(rows).encode(
        y=alt.Y("method:N", sort=list(rows["method"]), title=None, axis=alt.Axis(labelLimit=300))
    )
    scale = alt.Scale(zero=False, padding=20)
    line = base.mark_rule(strokeWidth=3, color="#7d8894").encode(
        x=alt.X("before:Q", scale=scale, axis=axis), x2="after:Q"
    )
    start = base.mark_point(size=110, filled=False, strokeWidth=2).encode(
        x=alt.X("before:Q", scale=scale, axis=axis), tooltip=["method:N", "before:Q", "after:Q"]
    )
    end = base.mark_circle(size=130, opacity=1).encode(
        x=alt.X("after:Q", scale=scale, axis=axis), tooltip=["method:N", "before:Q", "after:Q"]
    )
    return (line + start + end).properties(height=44 * len(rows) + 30)
