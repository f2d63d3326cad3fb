"""Index: what the collection is made of, its versions, its health, and a map of it."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from markupsafe import Markup

from app.background import reindex
from app.chunk_map import ChunkMap, draw_map, main_sources
from app.jobs import Job
from app.workspace import Overview
from retrieval.errors import TwoTowerError
from retrieval.types import Hit
from ui.components.frame import over_collection
from ui.components.job import show_job
from ui.components.notices import show_error
from ui.resources import workspace
from ui.safe import plain

_NAMED = 9  # documents with a colour of their own
_OTHERS = "all others"
_COLOURS = (
    "#2f6fb0", "#c77a2c", "#2e8b64", "#9465b5", "#c0505b", "#b09a2a", "#2a9090", "#b0609c",
    "#6a76d0",
)  # fmt: skip
_GREY = "#9aa3ad"
# The same in every layer: where they differ, Streamlit draws nothing, and says nothing.
_PLACE = {"x": alt.X("x:Q", axis=None), "y": alt.Y("y:Q", axis=None)}
_HITS = 10


def show() -> None:
    """Show the page."""
    st.title("Index")
    over_collection(_show, "No index yet", "database")


def _show(name: str) -> None:
    overview = workspace().overview(name)
    _facts(overview)
    left, right = st.columns(2, gap="large")
    with left:
        _health(overview)
    with right:
        _versions(name, overview)
    show_job("reindex", _rebuilt)
    _map(name)


def _facts(overview: Overview) -> None:
    card = overview.card
    size = "unknown" if overview.size is None else f"{overview.size / 2**20:.1f} MB"
    with st.container(horizontal=True):
        st.metric("Documents", f"{overview.documents:,}", border=True)
        st.metric("Passages", f"{overview.chunks:,}", border=True)
        st.metric("Size", size, border=True)
        st.metric("Version", str(overview.versions.live), border=True)
    facts = {
        "Encoder": f"{card.encoder.name} (fingerprint {card.encoder.fingerprint[:12]})",
        "Dimension": f"{card.encoder.dimension:,}",
        "Words": f"BM25, {card.bm25.language}, k1 {card.bm25.k1:g}, b {card.bm25.b:g}, "
        f"mean length {card.bm25.avg_len:.0f}",
        "Passages": f"{card.chunking['strategy']}, up to {card.chunking['chunk_tokens']} tokens, "
        f"{card.chunking['overlap_tokens']} shared",
        "Vectors": card.quantization if card.quantization != "none" else "as they are (float32)",
        "Tuned": ", ".join(f"{key} {value}" for key, value in card.search.items()) or "no",
        "Kept in": workspace().application.catalog.place,
    }
    st.html(
        Markup("<dl class='facts'>{}</dl>").format(
            Markup("").join(
                Markup("<dt>{}</dt><dd>{}</dd>").format(key, plain(value))
                for key, value in facts.items()
            )
        )
    )


def _health(overview: Overview) -> None:
    st.subheader("Health")
    settings = workspace().settings
    if overview.fits:
        st.success(
            "The encoder in the settings made these vectors.", icon=":material/check_circle:"
        )
    else:
        st.error(
            f"The settings name another encoder ({settings.encoder}): searches by meaning are "
            "refused. Re-index, or set TWOTOWER_ENCODER to the collection's own.",
            icon=":material/error:",
        )
    if overview.stray:
        st.warning(
            f"{overview.stray} passages are of an ingestion that did not end: ingest again, and "
            "they are put right.",
            icon=":material/build:",
        )
    else:
        st.success("Every passage belongs to a document.", icon=":material/check_circle:")
    threshold = settings.index_threshold
    if not settings.qdrant_url and threshold and overview.chunks > threshold:
        st.info(
            "Large enough for an index of its vectors: `twotower optimize` builds it while this "
            "page is closed.",
            icon=":material/speed:",
        )


def _versions(name: str, overview: Overview) -> None:
    st.subheader("Versions")
    versions = overview.versions
    previous = f", version {versions.previous} is kept" if versions.previous else ""
    st.write(f"Version {versions.live} is live{previous}.")
    busy = bool(workspace().jobs.active())
    with st.form("reindex", border=False):
        encoder = st.text_input(
            "Encoder",
            value=workspace().settings.encoder,
            help="A packaged model, a folder, or a model hub's name. Searches go on while the next "
            "version is built beside this one.",
            disabled=not workspace().alone,
        )
        force = st.checkbox("Build it even where nothing differs")
        with st.container(horizontal=True):
            if st.form_submit_button("Re-index", icon=":material/autorenew:", disabled=busy):
                reindex(workspace(), name, encoder.strip(), force)
                st.rerun()
    if versions.previous and st.button(
        f"Roll back to version {versions.previous}", icon=":material/undo:", disabled=busy
    ):
        try:
            workspace().rollback(name)
        except TwoTowerError as error:
            show_error(error)
        else:
            workspace().jobs.forget("reindex")
            st.rerun()


def _rebuilt(job: Job) -> None:
    built = job.result
    if built is None:
        st.info("It was built with the present settings: nothing to do.", icon=":material/check:")
        return
    if not built.finished:
        st.info("Re-index again, and it goes on where it was.", icon=":material/pause:")
        return
    st.success(
        f"Version {built.version} was put live: {built.documents:,} documents, {built.chunks:,} "
        f"passages, {built.encoded:,} of them encoded now.",
        icon=":material/check_circle:",
    )
    encoder = workspace().settings.encoder
    st.caption(
        f"The page uses encoder {plain(encoder)}; TWOTOWER_ENCODER sets it for the command line."
    )


@st.cache_data(max_entries=4, show_spinner="Drawing the map")
def _drawn(name: str, state: tuple[int, int]) -> ChunkMap | None:
    del state
    with workspace().opened(name) as collection:
        return draw_map(collection)


@st.fragment
def _map(name: str) -> None:
    """The chunks in the plane, with a question and its hits."""
    st.subheader("Map")
    drawn = _drawn(name, workspace().changes(name))
    if drawn is None:
        st.caption("There is nothing to draw yet.")
        return
    question = st.text_input(
        "A question, drawn where it falls",
        key="map-question",
        placeholder="how long is the guarantee?",
    )
    sources = main_sources(drawn.chunks, _NAMED)
    frame = pd.DataFrame(
        {
            "x": drawn.places[:, 0],
            "y": drawn.places[:, 1],
            "document": [_named(chunk.provenance.source, sources) for chunk in drawn.chunks],
            "source": [plain(chunk.provenance.source) for chunk in drawn.chunks],
            "passage": [plain(" ".join(chunk.text.split())[:120]) for chunk in drawn.chunks],
        }
    )
    order = [*map(plain, sources), _OTHERS]  # by name: what a scale does not name has no colour
    layers: list[Any] = [
        alt.Chart(frame)
        .mark_circle(size=38, opacity=0.65)
        .encode(
            **_PLACE,
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
        alt="Passages as points, those with similar content near each other",
    )
    st.caption(
        f"{len(drawn.chunks):,} passages by their first two principal components, which show "
        f"{drawn.explained:.0%} of their differences: neighbours here may be far apart in truth."
    )


def _named(source: str, sources: list[str]) -> str:
    return plain(source) if source in sources else _OTHERS


def _question_layers(name: str, question: str, drawn: ChunkMap) -> list[Any]:
    """The question, its hits, and a line to each."""
    with workspace().retrieving(name) as retriever:
        vector = retriever.question_vector(question)
    hits: tuple[Hit, ...] = workspace().search(name, question, {"limit": _HITS}).hits
    with workspace().opened(name) as collection:
        vectors = collection.dense_vectors([hit.chunk.id for hit in hits])
    found = [hit for hit in hits if hit.chunk.id in vectors]
    (own,) = drawn.place(vector[None, :])
    rows = [vectors[hit.chunk.id] for hit in found]
    places = drawn.place(np.reshape(rows, (len(found), len(vector))))
    shown = {
        "source": [plain(hit.chunk.provenance.source) for hit in found],
        "rank": [hit.rank for hit in found],
    }
    ends = pd.DataFrame({"x": places[:, 0], "y": places[:, 1], **shown})
    lines = ends.assign(x2=float(own[0]), y2=float(own[1]))
    mark = pd.DataFrame({"x": [float(own[0])], "y": [float(own[1])], "text": [plain(question)]})
    rules = alt.Chart(lines).mark_rule(opacity=0.6, color="#7d8894")
    rings = alt.Chart(ends).mark_point(size=120, strokeWidth=2.5, color="#e0503f", opacity=1)
    star = alt.Chart(mark).mark_point(
        shape="diamond", size=260, filled=True, color="#e0503f", opacity=1
    )
    return [
        rules.encode(**_PLACE, x2="x2:Q", y2="y2:Q"),
        rings.encode(**_PLACE, tooltip=["rank:Q", "source:N"]),
        star.encode(**_PLACE, tooltip=["text:N"]),
    ]
