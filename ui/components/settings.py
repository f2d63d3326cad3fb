"""Search settings in the sidebar; the page's address contains them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.vocabulary.filters import KEYS, Condition, Filter, parse_filters
from twotower.ui.resources import workspace
from twotower.ui.safe import label

MODES: Mapping[str, str] = {
    "hybrid": "Hybrid",
    "dense": "Meaning",
    "bm25": "Words",
    "short": "Short vectors",
    "views": "Title and questions",
    "colbert": "ColBERT",
    "splade": "SPLADE",
}
RERANKS: Mapping[str, str] = {
    "none": "None",
    "late-interaction": "Late interaction",
    "cross-encoder": "Cross-encoder",
}
_FACETS = {"type": "File type", "folder": "Folder"}
_FACET_VALUES = 200  # largest number of values to choose from
_MODE_HELP = (
    "Meaning finds passages that say the same in other words. Words finds names, numbers and exact "
    "terms (BM25). Hybrid combines both."
)
_RERANK_HELP = (
    "Sorts the first 50 hits again with a slower, closer comparison. Late interaction compares "
    "word by word with the same model. A cross-encoder is a separate model."
)


def describe_search(options: SearchOptions) -> str:
    """Name a search by its mode and reranker, in the words of the settings."""
    mode = MODES.get(options.mode, options.mode)
    return mode if options.rerank == "none" else f"{mode}, {RERANKS[options.rerank].lower()}"


@dataclass(frozen=True, slots=True)
class SearchChoice:
    """Search settings that a visitor has chosen.

    Attributes
    ----------
    overrides
        Search options that replace the defaults, as `Application.retriever` takes them.
    compared_overrides
        The same for a second search; ``None`` where nothing is compared.
    labelling
        Whether the visitor labels hits.
    """

    overrides: Mapping[str, Any]
    compared_overrides: Mapping[str, Any] | None
    labelling: bool


def choose_collection() -> str:
    """Show the list of collections; returns the chosen one."""
    names = workspace().names()
    default = workspace().settings.collection
    if default not in names:
        names = [default, *names]
    chosen: str = st.selectbox(
        "Collection", names, index=names.index(default), key="collection", bind="query-params"
    )
    return chosen


def choose_search(name: str) -> SearchChoice:
    """Show the search settings; returns the chosen ones."""
    overrides: dict[str, Any] = _choose_method(name, "", "Search by")
    overrides["limit"] = st.slider("Number of hits", 5, 50, 10, 5, key="hits", bind="query-params")
    overrides["per_document"] = st.slider(
        "Hits per document",
        0,
        5,
        0,
        key="per-document",
        bind="query-params",
        help="Largest number of hits from the same document. 0 means no limit.",
    )
    overrides["where"] = _filters(name)
    compared = None
    st.divider()
    if st.toggle("Compare two searches", key="compare", bind="query-params"):
        compared = {**overrides, **_choose_method(name, "-2", "Compare with")}
    labelling = st.toggle(
        "Label hits",
        key="label",
        bind="query-params",
        help="Mark hits as relevant or not. Your labels are saved, and the Quality page measures "
        "search with them.",
    )
    return SearchChoice(overrides, compared, labelling)


def modes_of(name: str) -> list[str]:
    """Return the search methods of a collection: hybrid, and each of its legs."""
    return ["hybrid", *_legs(name, workspace().searching.state(name))]


@st.cache_data(max_entries=20, show_spinner=False)
def _legs(name: str, state: tuple[int, int]) -> list[str]:
    """Legs of a collection, cached until the collection changes."""
    del state
    return workspace().searching.legs(name)


def _choose_method(name: str, suffix: str, title: str) -> dict[str, Any]:
    mode = st.segmented_control(
        title,
        modes_of(name),
        default="bm25" if suffix else "hybrid",  # different from the first search
        required=True,
        format_func=lambda mode: MODES.get(mode, mode),
        key=f"mode{suffix}",
        bind="query-params",
        help=_MODE_HELP,
    )
    rerank = st.selectbox(
        "Reranker",
        list(RERANKS),
        format_func=lambda kind: RERANKS[kind],
        index=list(RERANKS).index(str(workspace().settings.search.get("rerank", "none"))),
        key=f"rerank{suffix}",
        bind="query-params",
        help=_RERANK_HELP,
    )
    return {"mode": mode, "rerank": rerank}


@st.cache_data(max_entries=20, show_spinner=False)
def _counts(name: str, state: tuple[int, int]) -> dict[str, dict[str, int]]:
    """Facets of a collection, cached until the collection changes."""
    del state
    return workspace().searching.facets(name, list(_FACETS))


def _filters(name: str) -> Filter:
    """Facets with their counts, and a text box for all other filters."""
    conditions: list[Condition] = []
    counts = _counts(name, workspace().searching.state(name))
    for key, values in counts.items():
        if len(values) > 1:
            title = _FACETS.get(key) or label(key).capitalize()
            chosen = _choose_values(key, title, dict(list(values.items())[:_FACET_VALUES]))
            if chosen:
                field = key if key in KEYS else f"meta.{key}"
                conditions.append(Condition(field, values=tuple(chosen)))
    text = st.text_input(
        "Filter",
        key="filter",
        bind="query-params",
        placeholder="modified>=2025-01-01",
        help="Conditions: KEY=VALUE, KEY!=VALUE, KEY=LOW..HIGH or KEY>=VALUE. Separate several "
        "conditions with semicolons. Keys: source, folder, type, title, headings, page, modified, "
        "and the metadata keys of your documents.",
    )
    expressions = [part.strip() for part in (text or "").split(";") if part.strip()]
    keys = workspace().searching.metadata_keys(name) if expressions else []
    return Filter(tuple(conditions)) & parse_filters(expressions, keys)


def _choose_values(key: str, title: str, values: Mapping[str, int]) -> list[str]:
    """Choose values of a facet; the address contains them without the counts, which change."""
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
