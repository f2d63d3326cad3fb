"""Quality page: measure search methods on labelled questions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from twotower.app.example import QUERIES
from twotower.app.services.background import evaluate, train
from twotower.app.services.evaluation import systems
from twotower.app.services.jobs import Job
from twotower.evaluation.dataset import Dataset
from twotower.evaluation.measure import SystemResult, paired_p
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.vocabulary.errors import TwoTowerError
from twotower.ui.components.frame import show_for_collection
from twotower.ui.components.job import show_job
from twotower.ui.components.notices import show_error
from twotower.ui.components.settings import MODES, RERANKS, describe_search, modes_of
from twotower.ui.resources import workspace
from twotower.ui.safe import label, plain
from twotower.ui.views.learning import show_learned


def show() -> None:
    """Show the page."""
    st.title("Quality")
    show_for_collection(_show, "Nothing to measure yet", "monitoring")


def _show(name: str) -> None:
    _show_form(name)
    show_job("evaluate", _show_results)
    show_job("train", show_learned)


def _question_sets(name: str) -> dict[str, Path]:
    """Files of labelled questions, by the name that the page shows."""
    sets: dict[str, Path] = {}
    labelled = workspace().labels(name).answered()
    if labelled:
        sets[f"Your labels ({labelled} questions)"] = workspace().labels(name).queries
    if QUERIES.is_file():
        sets["The example handbook"] = QUERIES
    return sets


def _show_form(name: str) -> None:
    st.markdown(
        "Measure how well search works for your own questions. Label hits on the Search page, or "
        "choose a folder of labelled questions. Each search method answers all questions. Search "
        "can also learn from them."
    )
    sets = _question_sets(name)
    other = "A folder on this machine"
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
            "Search methods",
            modes_of(name),
            default=modes_of(name),
            format_func=lambda mode: MODES.get(mode, mode),
        )
        rerank = st.selectbox(
            "Reranker to measure with the first method",
            list(RERANKS),
            format_func=lambda kind: RERANKS[kind],
        )
        busy = bool(workspace().jobs.active())
        with st.container(horizontal=True):
            pressed = st.button(
                "Measure", type="primary", icon=":material/play_arrow:", disabled=busy
            )
            learn = st.button(
                "Learn from these questions",
                icon=":material/school:",
                disabled=busy,
                help="Learns to move questions towards the passages that answer them, in seconds. "
                "Kept only if hybrid search gains on questions held out; the index stays.",
            )
    if not (pressed or learn):
        return
    try:
        queries = sets.get(chosen) or workspace().access.folder(folder)
        if queries.is_dir():
            queries /= "queries.jsonl"
    except TwoTowerError as error:  # shown beside the box; the rest of the page stays
        show_error(error)
        return
    if learn:
        own = queries == workspace().labels(name).queries
        train(workspace(), name, None if own else queries)
        return
    if not modes:
        st.info("Choose at least one search method.", icon=":material/info:")
        return

    def compared(base: SearchOptions) -> list[SearchOptions]:
        return systems(replace(base, rerank="none"), modes, [rerank])

    evaluate(workspace(), name, queries, compared)


def _show_results(job: Job) -> None:
    dataset: Dataset
    results: list[SystemResult]
    dataset, results = job.result
    names = [describe_search(result.options) for result in results]
    _warn_of_unknown(dataset)
    st.dataframe(_table(names, results), hide_index=True, alt="Measures of each search method")
    st.caption(
        f"{len(results[0].questions)} questions. nDCG, recall and MRR run from 0 to 1; higher is "
        "better. The 95% interval contains the mean nDCG@10 with 95% (bootstrap over questions). "
        "p is the probability of a difference at least this large from the first row if both were "
        "equally good (paired randomisation). ms is the median time of a search."
    )
    st.altair_chart(
        _bars(names, results), alt="nDCG at 10 of each search method, with its 95% interval"
    )
    if len(results) > 1:
        _show_pairs(dataset, names, results)


def _warn_of_unknown(dataset: Dataset) -> None:
    if dataset.unknown_documents or dataset.unknown_questions:
        st.warning(
            f"Ignored judgements: {dataset.unknown_documents} name documents that are not in this "
            f"collection, {dataset.unknown_questions} name unknown questions.",
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
                "Search method": name,
                "nDCG@10": f"{result.mean('ndcg@10'):.3f}",
                "95% interval": f"{low:.3f} – {high:.3f}",
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
        rows.append({"method": name, "nDCG@10": result.mean("ndcg@10"), "low": low, "high": high})
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("method:N", sort=list(names), title=None, axis=alt.Axis(labelLimit=300))
    )
    bars = base.mark_bar(height=20).encode(
        x=alt.X("nDCG@10:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title="nDCG@10")),
        tooltip=["method:N", "nDCG@10:Q"],
    )
    ends = base.mark_rule(strokeWidth=3, color="#e0a064").encode(
        x=alt.X("low:Q", axis=alt.Axis(title="nDCG@10")), x2="high:Q"
    )
    return (bars + ends).properties(height=44 * len(rows) + 30)


@st.fragment
def _show_pairs(dataset: Dataset, names: Sequence[str], results: Sequence[SystemResult]) -> None:
    """Every question as a point: its score with two search methods."""
    left, right = st.columns(2)
    one = left.selectbox("Horizontal axis", names, index=0, key="pair-x")
    other = right.selectbox("Vertical axis", names, index=1, key="pair-y")
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
    differences = frame.assign(gap=frame["x"] - frame["y"]).sort_values(
        "gap", key=abs, ascending=False
    )
    st.caption("Questions with the largest differences")
    for _, row in differences[differences["gap"].abs() > 0].head(5).iterrows():
        st.markdown(f"- {label(row['question'])}: {one} {row['x']:.2f}, {other} {row['y']:.2f}")
