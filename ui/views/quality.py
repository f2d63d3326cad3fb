"""Quality: measure ways to search on labelled questions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from app.background import evaluate
from app.evaluation import systems
from app.jobs import Job
from evaluation.dataset import Dataset
from evaluation.measure import SystemResult, paired_p
from retrieval.errors import TwoTowerError
from retrieval.options import SearchOptions
from ui.components.frame import over_collection
from ui.components.job import show_job
from ui.components.notices import show_error
from ui.components.settings import MODES, RERANKS, way
from ui.resources import workspace
from ui.safe import label, plain

_EXAMPLE = Path(__file__).parents[2] / "examples" / "queries.jsonl"


def show() -> None:
    """Show the page."""
    st.title("Quality")
    over_collection(_show, "Nothing to measure yet", "monitoring")


def _show(name: str) -> None:
    _start(name)
    show_job("evaluate", _results)


def _sets(name: str) -> dict[str, Path]:
    """Sets of labelled questions by what they are called."""
    sets: dict[str, Path] = {}
    judged = workspace().labels(name).read()
    useful = sum(any(places.values()) for places in judged.values())
    if useful:
        sets[f"Your labels ({useful} questions)"] = workspace().labels(name).queries
    if _EXAMPLE.is_file():
        sets["The example handbook"] = _EXAMPLE
    return sets


def _start(name: str) -> None:
    st.markdown(
        "How good is search on your own questions? Label hits on the Search page, or name a set of "
        "labelled questions; each way to search answers all of them."
    )
    sets = _sets(name)
    other = "A folder of this machine"
    with st.container(border=True, key="measure"):
        chosen = st.selectbox("Questions", [*sets, other])
        folder = ""
        if chosen == other:
            folder = st.text_input(
                "Folder with queries.jsonl and qrels/",
                placeholder="~/questions",
                key="question-folder",
            )
        modes = st.multiselect(
            "Ways to search",
            list(MODES),
            default=list(MODES),
            format_func=lambda mode: MODES[mode],
        )
        rerank = st.selectbox(
            "And the first one, reranked by", list(RERANKS), format_func=lambda kind: RERANKS[kind]
        )
        asked = st.button(
            "Measure",
            type="primary",
            icon=":material/play_arrow:",
            disabled=bool(workspace().jobs.active()),
        )
    if not asked:
        return
    try:
        queries = sets.get(chosen) or workspace().folder(folder)
        if queries.is_dir():
            queries /= "queries.jsonl"
    except TwoTowerError as error:  # beside the box, with the rest of the page
        show_error(error)
        return
    if not modes:
        st.info("Choose at least one way to search.", icon=":material/info:")
        return

    def tried(base: SearchOptions) -> list[SearchOptions]:
        return systems(replace(base, rerank="none"), modes, [rerank])

    evaluate(workspace(), name, queries, tried)


def _results(job: Job) -> None:
    dataset: Dataset
    results: list[SystemResult]
    dataset, results = job.result
    names = [way(result.options) for result in results]
    _unknown(dataset)
    st.dataframe(_table(names, results), hide_index=True, alt="Measures of each way to search")
    st.caption(
        f"{len(results[0].questions)} questions. The interval has the mean with 95% (bootstrap "
        "over questions); p is the chance that a difference to the first row as large comes by "
        "accident (paired randomisation)."
    )
    st.altair_chart(_bars(names, results), alt="nDCG at 10 of each way, with its 95% interval")
    if len(results) > 1:
        _pairs(dataset, names, results)


def _unknown(dataset: Dataset) -> None:
    if dataset.unknown_documents or dataset.unknown_questions:
        st.warning(
            f"{dataset.unknown_documents} judgements name documents that are not in this "
            f"collection, {dataset.unknown_questions} name unknown questions: they were left out.",
            icon=":material/rule:",
        )


def _table(names: Sequence[str], results: Sequence[SystemResult]) -> pd.DataFrame:
    first = results[0].scores["ndcg@10"]
    rows = []
    for name, result in zip(names, results, strict=True):
        low, high = result.interval()
        p = None if result is results[0] else paired_p(first, result.scores["ndcg@10"])
        rows.append(
            {
                "Way to search": name,
                "nDCG@10": f"{result.mean('ndcg@10'):.3f}",
                "95%": f"{low:.3f} – {high:.3f}",
                "p": "–" if p is None else f"{p:.3f}",
                "Recall@10": f"{result.mean('recall@10'):.3f}",
                "Recall@100": f"{result.mean('recall@100'):.3f}",
                "MRR@10": f"{result.mean('mrr@10'):.3f}",
                "ms": f"{result.percentile(50):.0f}",
            }
        )
    return pd.DataFrame(rows)


def _bars(names: Sequence[str], results: Sequence[SystemResult]) -> Any:
    rows = []
    for name, result in zip(names, results, strict=True):
        low, high = result.interval()
        rows.append({"way": name, "nDCG@10": result.mean("ndcg@10"), "low": low, "high": high})
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("way:N", sort=list(names), title=None, axis=alt.Axis(labelLimit=300))
    )
    bars = base.mark_bar(height=20).encode(
        x=alt.X("nDCG@10:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title="nDCG@10")),
        tooltip=["way:N", "nDCG@10:Q"],
    )
    ends = base.mark_rule(strokeWidth=3, color="#e0a064").encode(
        x=alt.X("low:Q", axis=alt.Axis(title="nDCG@10")), x2="high:Q"
    )
    return (bars + ends).properties(height=44 * len(rows) + 30)


@st.fragment
def _pairs(dataset: Dataset, names: Sequence[str], results: Sequence[SystemResult]) -> None:
    """Every question as a point: how two ways do on it."""
    left, right = st.columns(2)
    one = left.selectbox("Across", names, index=0, key="pair-x")
    other = right.selectbox("Up", names, index=1, key="pair-y")
    by_name = dict(zip(names, results, strict=True))
    across, up = by_name[one], by_name[other]
    frame = pd.DataFrame(
        {
            "question": [plain(dataset.questions[id]) for id in across.questions],
            "x": across.scores["ndcg@10"],
            "y": up.scores["ndcg@10"],
        }
    )
    frame["better"] = [
        "across" if x > y else "up" if y > x else "equal"
        for x, y in zip(frame["x"], frame["y"], strict=True)
    ]
    scale = alt.Scale(domain=[-0.03, 1.03], nice=False)
    points = (
        alt.Chart(frame)
        .mark_circle(size=90, opacity=0.6)
        .encode(
            x=alt.X("x:Q", scale=scale, title=f"nDCG@10, {one}"),
            y=alt.Y("y:Q", scale=scale, title=f"nDCG@10, {other}"),
            color=alt.Color("better:N", legend=None),
            tooltip=[
                alt.Tooltip("question:N"),
                alt.Tooltip("x:Q", title=one, format=".3f"),
                alt.Tooltip("y:Q", title=other, format=".3f"),
            ],
        )
    )
    line = (
        alt.Chart(pd.DataFrame({"x": [0, 1], "y": [0, 1]}))
        .mark_line(strokeDash=[4, 4], color="#7d8894")
        .encode(x="x:Q", y="y:Q")
    )
    st.altair_chart(
        (line + points).properties(height=420),
        alt=f"nDCG at 10 of each question, {one} and {other}",
    )
    lost = frame.assign(gap=frame["x"] - frame["y"]).sort_values("gap", key=abs, ascending=False)
    st.caption("Questions that differ most")
    for _, row in lost[lost["gap"].abs() > 0].head(5).iterrows():
        st.markdown(f"- {label(row['question'])} — {row['x']:.2f} and {row['y']:.2f}")
