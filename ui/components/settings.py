"""How to search: the sidebar's settings, which live in the address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from retrieval.filters import KEYS, Condition, Filter, parse_filters
from retrieval.options import Rerank, SearchOptions
from retrieval.types import Mode
from ui.resources import workspace
from ui.safe import label

MODES: Mapping[Mode, str] = {"hybrid": "Hybrid", "dense": "Meaning", "bm25": "Words"}
RERANKS: Mapping[Rerank, str] = {
    "none": "None",
    "late-interaction": "Late interaction",
    "cross-encoder": "Cross-encoder",
}
_FACETS = {"type": "File type", "folder": "Folder"}
_MOST_VALUES = 200  # of one facet
_MODE_HELP = (
    "Hybrid weighs meaning and words together. Meaning finds other words for the same thing; words "
    "(BM25) finds names, numbers and exact terms."
)
_RERANK_HELP = (
    "A second, slower look at the first 50 hits. Late interaction compares word by word with the "
    "same model; a cross-encoder is a model of its own."
)


def way(options: SearchOptions) -> str:
    """Name a way to search as the settings do."""
    named = MODES[options.mode]
    return named if options.rerank == "none" else f"{named}, {RERANKS[options.rerank].lower()}"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a visitor has set.

    Attributes
    ----------
    asked
        As `Application.retriever` takes it.
    compared
        The same for a second ranking; ``None`` where none is compared.
    """

    collection: str
    asked: Mapping[str, Any]
    compared: Mapping[str, Any] | None
    labelling: bool


def choose_collection() -> str:
    """Choose among the collections."""
    names = workspace().names()
    own = workspace().settings.collection
    if own not in names:
        names = [own, *names]
    chosen: str = st.selectbox(
        "Collection", names, index=names.index(own), key="collection", bind="query-params"
    )
    return chosen


def choose(name: str) -> Chosen:
    """Show the settings, and read them."""
    asked: dict[str, Any] = _way("", "Search by")
    asked["limit"] = st.slider("Hits", 5, 50, 10, 5, key="hits", bind="query-params")
    asked["per_document"] = st.slider(
        "Hits of one document",
        0,
        5,
        0,
        key="per-document",
        bind="query-params",
        help="At most so many of the same document; 0: no such limit.",
    )
    asked["where"] = _filters(name)
    compared = None
    st.divider()
    if st.toggle("Compare two ways", key="compare", bind="query-params"):
        compared = {**asked, **_way("-2", "Compared with")}
    labelling = st.toggle(
        "Label hits",
        key="label",
        bind="query-params",
        help="Say which hits are relevant. The judgements are kept, and the Quality page measures "
        "on them.",
    )
    return Chosen(name, asked, compared, labelling)


def _way(suffix: str, title: str) -> dict[str, Any]:
    mode = st.segmented_control(
        title,
        list(MODES),
        default="bm25" if suffix else "hybrid",  # the same twice would compare nothing
        required=True,
        format_func=lambda mode: MODES[mode],
        key=f"mode{suffix}",
        bind="query-params",
        help=_MODE_HELP,
    )
    rerank = st.selectbox(
        "Reranker",
        list(RERANKS),
        format_func=lambda kind: RERANKS[kind],
        index=list(RERANKS).index(workspace().settings.rerank),
        key=f"rerank{suffix}",
        bind="query-params",
        help=_RERANK_HELP,
    )
    return {"mode": mode, "rerank": rerank}


@st.cache_data(max_entries=20, show_spinner=False)
def _counts(name: str, state: tuple[int, int]) -> dict[str, dict[str, int]]:
    """Facets of one state of a collection."""
    del state
    return workspace().facets(name, list(_FACETS))


def _filters(name: str) -> Filter:
    """Facets with their counts, and an expression for what they cannot say."""
    conditions: list[Condition] = []
    counts = _counts(name, workspace().changes(name))
    for key, values in counts.items():
        if len(values) > 1:
            title = _FACETS.get(key) or label(key).capitalize()
            chosen = _facet(key, title, dict(list(values.items())[:_MOST_VALUES]))
            if chosen:
                field = key if key in KEYS else f"meta.{key}"
                conditions.append(Condition(field, values=tuple(chosen)))
    written = st.text_input(
        "Filter",
        key="filter",
        bind="query-params",
        placeholder="modified>=2025-01-01",
        help="KEY=VALUE, KEY!=VALUE, KEY=LOW..HIGH, KEY>=VALUE; several with a semicolon between "
        "them. Keys: source, folder, type, title, headings, page, modified, and those of your "
        "documents.",
    )
    expressions = [part.strip() for part in (written or "").split(";") if part.strip()]
    keys = workspace().metadata_keys(name) if expressions else []
    return Filter(tuple(conditions)) & parse_filters(expressions, keys)


def _facet(key: str, title: str, values: Mapping[str, int]) -> list[str]:
    """Choose values; the address has them without their counts, which change."""
    widget = f"facet-{key}"
    if widget not in st.session_state:
        st.session_state[widget] = [v for v in st.query_params.get_all(widget) if v in values]
    else:
        st.session_state[widget] = [v for v in st.session_state[widget] if v in values]
    chosen = st.multiselect(
        title,
        list(values),
        format_func=lambda value: f"{value} ({values[value]:,})",
        key=widget,
        placeholder="all",
    )
    if chosen:
        st.query_params[widget] = chosen
    else:
        st.query_params.pop(widget, None)
    return chosen
