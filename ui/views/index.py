"""Index page: facts about a collection, its health, its versions, and a map of its passages."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from markupsafe import Markup

from twotower.app.services.background import reindex
from twotower.app.services.chunk_map import ChunkMap, draw_map, main_sources
from twotower.app.services.index_info import Overview, describe
from twotower.app.services.jobs import Job
from twotower.app.services.learning import forget_map
from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.search.results import Hit
from twotower.retrieval.vocabulary.errors import TwoTowerError
from twotower.ui.components.frame import show_for_collection
from twotower.ui.components.job import show_job
from twotower.ui.components.notices import show_error
from twotower.ui.resources import workspace
from twotower.ui.safe import label, plain

_COLOURED = 9  # documents with a colour of their own
_OTHERS = "all other documents"
_COLOURS = (
    "#2f6fb0", "#c77a2c", "#2e8b64", "#9465b5", "#c0505b", "#b09a2a", "#2a9090", "#b0609c",
    "#6a76d0",
)  # fmt: skip
_GREY = "#9aa3ad"
# The same in every layer: where they differ, Streamlit draws nothing and reports no error.
_POSITION = {"x": alt.X("x:Q", axis=None), "y": alt.Y("y:Q", axis=None)}
_HITS = 10  # drawn for a question


def show() -> None:
    """Show the page."""
    st.title("Index")
    show_for_collection(_show, "No index yet", "database")


def _show(name: str) -> None:
    overview = describe(workspace().application, name)
    _show_facts(overview)
    left, right = st.columns(2, gap="large")
    with left:
        _show_health(overview)
    with right:
        _show_versions(name, overview)
    show_job("reindex", _show_rebuilt)
    _show_map(name)


def _show_facts(overview: Overview) -> None:
    card = overview.card
    size = "unknown" if overview.size is None else f"{overview.size / 2**20:.1f} MB"
    with st.container(horizontal=True):
        st.metric("Documents", f"{overview.documents:,}", border=True)
        st.metric("Passages", f"{overview.chunks:,}", border=True)
        st.metric("Size", size, border=True)
        st.metric("Version", str(overview.versions.live), border=True)
    facts = {
        "Encoder": f"{card.encoder.name} (fingerprint {card.encoder.fingerprint[:12]})",
        "Vector dimension": f"{card.encoder.dimension:,}",
        "Word search": f"BM25, {card.bm25.language}, k1 {card.bm25.k1:g}, b {card.bm25.b:g}, "
        f"mean length {card.bm25.avg_len:.0f}",
        "Passages": f"split by {card.chunking['strategy']}, up to {card.chunking['chunk_tokens']} "
        f"tokens, overlap {card.chunking['overlap_tokens']} tokens",
        "Compression": card.quantization if card.quantization != "none" else "none (float32)",
        "Tuned settings": ", ".join(f"{key} {value}" for key, value in card.search.items())
        or "none",
        "Question map": _map_fact(card),
        "Stored in": workspace().application.catalog.location,
    }
    st.html(
        Markup("<dl class='facts'>{}</dl>").format(
            Markup("").join(
                Markup("<dt>{}</dt><dd>{}</dd>").format(key, plain(value))
                for key, value in facts.items()
            )
        )
    )


def _map_fact(card: IndexCard) -> str:
    newest = card.newest_map
    if newest is None:
        return "none"
    day = newest.learned_at[:10]
    return f"{newest.number}, learned from {newest.questions:,} questions on {day}"


def _show_health(overview: Overview) -> None:
    st.subheader("Health")
    settings = workspace().settings
    if overview.encoder_problem:
        st.error(label(overview.encoder_problem), icon=":material/error:")
    else:
        st.success(
            "The encoder that made these vectors is on this machine.",
            icon=":material/check_circle:",
        )
    if overview.stray:
        st.warning(
            f"{overview.stray} passages are missing or left over from an ingestion that was "
            "interrupted. Ingest the documents again to repair this.",
            icon=":material/build:",
        )
    else:
        st.success("Every passage belongs to a document.", icon=":material/check_circle:")
    threshold = settings.index_threshold
    if not settings.qdrant_url and threshold and overview.chunks > threshold:
        st.info(
            "A vector index would make search in this collection faster. Stop this page and run "
            "`twotower optimize` to build it.",
            icon=":material/speed:",
        )


def _show_versions(name: str, overview: Overview) -> None:
    st.subheader("Versions")
    versions = overview.versions
    previous = f", version {versions.previous} is kept" if versions.previous else ""
    st.write(f"Version {versions.live} is live{previous}.")
    busy = bool(workspace().jobs.active())
    with st.form("reindex", border=False):
        encoder = st.text_input(
            "Encoder",
            value=overview.card.encoder.name,
            help="Name of a packaged model, a folder, or a name on the model hub. Search keeps "
            "working while the new version is built.",
            disabled=not workspace().access.local_only,
        )
        force = st.checkbox("Rebuild even if the settings have not changed")
        with st.container(horizontal=True):
            if st.form_submit_button("Re-index", icon=":material/autorenew:", disabled=busy):
                reindex(workspace(), name, encoder.strip(), force)
                st.rerun()
    newest = overview.card.newest_map
    if newest and st.button(
        f"Remove question map {newest.number}", icon=":material/undo:", disabled=busy
    ):
        forget_map(workspace().application, name)
        st.rerun()
    if versions.previous and st.button(
        f"Roll back to version {versions.previous}", icon=":material/undo:", disabled=busy
    ):
        try:
            workspace().application.catalog.rollback(name)
        except TwoTowerError as error:
            show_error(error)
        else:
            workspace().jobs.forget("reindex")
            st.rerun()


def _show_rebuilt(job: Job) -> None:
    built = job.result
    if built is None:
        st.info("Built with the current settings already: nothing to do.", icon=":material/check:")
        return
    if not built.finished:
        st.info("Re-index again to continue where it stopped.", icon=":material/pause:")
        return
    if built.forgotten_map is not None:
        st.info(
            f"Question map {built.forgotten_map} was learned for the old encoder. Learn it again "
            "on the Quality page.",
            icon=":material/school:",
        )
    st.success(
        f"Version {built.version} is published: {built.documents:,} documents, {built.chunks:,} "
        f"passages, {built.encoded:,} of them newly encoded.",
        icon=":material/check_circle:",
    )


@st.cache_data(max_entries=4, show_spinner="Drawing the map")
def _cached_map(name: str, state: tuple[int, int]) -> ChunkMap | None:
    del state
    with workspace().opened(name) as collection:
        return draw_map(collection)


@st.fragment
def _show_map(name: str) -> None:
    """Draw the passages in a plane, with a question and its hits."""
    st.subheader("Map")
    drawn = _cached_map(name, workspace().searching.state(name))
    if drawn is None:
        st.caption("There is nothing to draw yet.")
        return
    question = st.text_input(
        "Show a question on the map",
        key="map-question",
        placeholder="how long is the guarantee?",
    )
    sources = main_sources(drawn.chunks, _COLOURED)
    frame = pd.DataFrame(
        {
            "x": drawn.points[:, 0],
            "y": drawn.points[:, 1],
            "document": [_legend_name(chunk.provenance.source, sources) for chunk in drawn.chunks],
            "source": [plain(chunk.provenance.source) for chunk in drawn.chunks],
            "passage": [plain(" ".join(chunk.text.split())[:120]) for chunk in drawn.chunks],
        }
    )
    order = [*map(plain, sources), _OTHERS]  # the scale names every value: others have no colour
    layers: list[Any] = [
        alt.Chart(frame)
        .mark_circle(size=38, opacity=0.65)
        .encode(
            **_POSITION,
            color=alt.Color(
                "document:N",
                scale=alt.Scale(domain=order, range=[*_COLOURS[: len(sources)], _GREY]),
                legend=alt.Legend(orient="bottom", columns=2, title=None, labelLimit=420),
            ),
            tooltip=["source:N", "passage:N"],
        )
    ]
    if question.strip():
        layers += _question_layers(name, question, drawn)
    st.altair_chart(
        alt.layer(*layers).properties(height=520),
        alt="Map of the passages as points; passages with similar content are close together",
    )
    st.caption(
        f"{len(drawn.chunks):,} passages, placed by their first two principal components. These "
        f"show {drawn.explained:.0%} of the variance: neighbours on the map may be far apart."
    )


def _legend_name(source: str, sources: list[str]) -> str:
    return plain(source) if source in sources else _OTHERS


def _question_layers(name: str, question: str, drawn: ChunkMap) -> list[Any]:
    """Layers for the question, its hits, and a line to each hit."""
    with workspace().searching.retriever(name) as retriever:
        vector = retriever.question_vector(question)
    if vector is None:
        return []
    hits: tuple[Hit, ...] = (
        workspace().searching.search(name, question, {"limit": _HITS}).result.hits
    )
    with workspace().opened(name) as collection:
        vectors = collection.vectors("dense", [hit.chunk.id for hit in hits])
    shown = [hit for hit in hits if hit.chunk.id in vectors]
    (centre,) = drawn.project(vector[None, :])
    rows = [vectors[hit.chunk.id] for hit in shown]
    positions = drawn.project(np.reshape(rows, (len(shown), len(vector))))
    columns = {
        "source": [plain(hit.chunk.provenance.source) for hit in shown],
        "rank": [hit.rank for hit in shown],
    }
    ends = pd.DataFrame({"x": positions[:, 0], "y": positions[:, 1], **columns})
    x, y = map(float, centre)
    lines = ends.assign(x2=x, y2=y)
    mark = pd.DataFrame({"x": [x], "y": [y], "text": [plain(question)]})
    rules = alt.Chart(lines).mark_rule(opacity=0.6, color="#7d8894")
    rings = alt.Chart(ends).mark_point(size=120, strokeWidth=2.5, color="#e0503f", opacity=1)
    star = alt.Chart(mark).mark_point(
        shape="diamond", size=260, filled=True, color="#e0503f", opacity=1
    )
    return [
        rules.encode(**_POSITION, x2="x2:Q", y2="y2:Q"),
        rings.encode(**_POSITION, tooltip=["rank:Q", "source:N"]),
        star.encode(**_POSITION, tooltip=["text:N"]),
    ]
