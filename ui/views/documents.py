"""Documents: what is in the collection, what failed, and how more comes in."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st
from markupsafe import Markup

from app.background import ingest
from app.jobs import Job
from app.uploads import safe_name, suffixes
from app.workspace import DocumentRow
from ingest.report import IngestReport
from retrieval.errors import ConfigurationError, TwoTowerError
from ui.components.job import show_job
from ui.components.notices import empty, show_error
from ui.components.pages_of import leaf_through
from ui.components.settings import choose_collection
from ui.resources import workspace
from ui.safe import label, plain

_EXAMPLE = Path(__file__).parents[2] / "examples" / "handbook"
_STATES = {
    "ready": "ready",
    "changed": "file changed",
    "gone": "file gone",
    "failed": "failed",
}
_SHOWN_AT_ONCE = 20  # passages of a preview


def show() -> None:
    """Show the page."""
    st.title("Documents")
    try:
        with st.sidebar:
            name = choose_collection()
        _bring_in(name)
        show_job("ingest", _report)
        _list(name)
    except TwoTowerError as error:
        show_error(error)


def _bring_in(name: str) -> None:
    upload, folder = st.tabs(["Upload files", "Read a folder"])
    with upload, st.form("upload", clear_on_submit=True, border=False):
        files = st.file_uploader(
            "Files to bring in",
            type=suffixes(),
            accept_multiple_files=True,
            help="A file of the same name replaces the one before.",
        )
        if st.form_submit_button("Ingest", type="primary", icon=":material/upload:"):
            _uploaded(name, files)
    with folder, st.form("folder", border=False):
        text = st.text_input(
            "Folder on the machine that serves this page", placeholder="~/Documents", key="folder"
        )
        prune = st.checkbox("Remove documents below it whose files are gone")
        if st.form_submit_button("Ingest the folder", icon=":material/folder_open:"):
            try:
                _start(name, [workspace().folder(text)], prune)
            except TwoTowerError as error:  # beside the box, with the rest of the page
                show_error(error)


def _uploaded(name: str, files: Sequence["st.runtime.uploaded_file_manager.UploadedFile"]) -> None:
    if not files:
        st.info("Choose files first, or drop them on the box.", icon=":material/upload_file:")
        return
    kept: list[Path] = []
    for file in files:
        try:
            if safe_name(file.name) in {path.name for path in kept}:
                raise ConfigurationError(
                    f"two files are called {file.name}: the second was left out, rename it"
                )
            kept.append(workspace().uploads(name).keep(file.name, file, file.size))
        except TwoTowerError as error:
            show_error(error)
    if kept:
        _start(name, kept)


def _start(name: str, paths: Sequence[Path], prune: bool = False) -> None:
    ingest(workspace(), name, paths, prune)


def _report(job: Job) -> None:
    report: IngestReport = job.result
    counts = ", ".join(f"{count} {status}" for status, count in report.counts.items() if count)
    st.html(
        Markup(
            "<div class='state' role='status'>{}; {:,} passages encoded in {:.0f} s</div>"
        ).format(counts or "nothing to do", report.embedded, job.seconds)
    )
    if report.gone:
        names = ", ".join(report.gone[:5])
        st.caption(f"Gone from the folder, still in the index: {label(names)}")


def _list(name: str) -> None:
    rows = workspace().documents(name)
    if not rows:
        empty(
            "No documents yet",
            "Drop files on the box above, or name a folder. Everything stays on this machine.",
            "folder_open",
        )
        if _EXAMPLE.is_dir() and not workspace().jobs.active():
            with st.container(horizontal_alignment="center"):
                st.button(
                    "Try it with the example handbook",
                    on_click=_start,
                    args=(name, [_EXAMPLE]),
                    icon=":material/auto_stories:",
                )
        return
    failed = sum(row.state == "failed" for row in rows)
    with st.container(horizontal=True):
        st.metric("Documents", f"{len(rows) - failed:,}", border=True)
        st.metric("Passages", f"{sum(row.chunks for row in rows):,}", border=True)
        st.metric("Failed", f"{failed:,}", border=True)
    shown = _narrowed(rows)
    _table(shown)
    _chosen(name, {row.source: row for row in rows})


def _narrowed(rows: Sequence[DocumentRow]) -> list[DocumentRow]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Find", key="find", placeholder="part of a name or title", type="search"
        )
        states = [state for state in _STATES if any(row.state == state for row in rows)]
        state = None
        if len(states) > 1:
            state = st.segmented_control(
                "State", states, format_func=lambda state: _STATES[state], key="state"
            )
    wanted = (text or "").strip().lower()
    return [
        row
        for row in rows
        if wanted in f"{row.source} {row.title}".lower() and state in (None, row.state)
    ]


def _table(rows: Sequence[DocumentRow]) -> None:
    frame = pd.DataFrame(
        {
            "Document": [plain(row.source) for row in rows],
            "State": [_STATES[row.state] for row in rows],
            "Reason": [plain(row.reason) for row in rows],
            "Passages": [row.chunks for row in rows],
            "Pages": pd.array([row.pages for row in rows], dtype="Int64"),
            "KB": [row.size / 1024 for row in rows],
            "Ingested": pd.to_datetime([row.at for row in rows], utc=True, format="ISO8601"),
            "Title": [plain(row.title) for row in rows],
        }
    )
    if not any(row.reason for row in rows):
        frame = frame.drop(columns="Reason")

    def take() -> None:
        picked = st.session_state["table"].selection.rows
        st.session_state["chosen"] = [rows[n].source for n in picked if n < len(rows)]

    st.dataframe(
        frame,
        key="table",
        on_select=take,
        selection_mode="multi-row",
        hide_index=True,
        height=min(38 + 35 * max(len(rows), 1), 353),
        column_config={
            "KB": st.column_config.NumberColumn(format="%.1f"),
            "Reason": st.column_config.TextColumn(width="large"),
            "Ingested": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "Document": st.column_config.TextColumn(width="medium"),
        },
        placeholder="–",
        alt="The documents of the collection",
    )


def _chosen(name: str, rows: dict[str, DocumentRow]) -> None:
    """What can be done with the documents that are chosen, in the table or by name."""
    known = [source for source in st.session_state.get("chosen", ()) if source in rows]
    st.session_state["chosen"] = known
    chosen = st.multiselect(
        "Chosen documents", list(rows), key="chosen", placeholder="choose in the table, or here"
    )
    busy = bool(workspace().jobs.active())
    with st.container(horizontal=True):
        st.button(
            "Ingest again",
            icon=":material/refresh:",
            disabled=busy or not any(rows[source].path for source in chosen),
            on_click=_again,
            args=(name, [rows[source] for source in chosen]),
        )
        if st.button("Delete", icon=":material/delete:", disabled=not chosen):
            _confirm(name, [rows[source] for source in chosen])
    if len(chosen) == 1:
        _preview(name, rows[chosen[0]])


def _again(name: str, rows: Sequence[DocumentRow]) -> None:
    _start(name, [Path(row.path) for row in rows if row.path])


@st.dialog("Delete documents?")
def _confirm(name: str, rows: Sequence[DocumentRow]) -> None:
    own = workspace().uploads(name).folder.resolve()
    uploaded = sum(Path(row.path).parent.resolve() == own for row in rows if row.path)
    what = label(rows[0].source) if len(rows) == 1 else f"{len(rows)} documents"
    st.write(f"**{what}** will no longer be found.")
    if uploaded:
        st.write("What was uploaded is deleted for good.")
    if uploaded < len(rows):
        st.write("Files in folders stay; reading their folder again brings them back.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep"):
            st.rerun()
        if st.button("Delete for good" if uploaded else "Delete", type="primary", key="confirm"):
            gone = workspace().delete(name, [row.source for row in rows])
            st.toast(f"{what} deleted, {gone} passages", icon=":material/delete:")
            st.rerun()


def _preview(name: str, row: DocumentRow) -> None:
    st.html(
        Markup("<article class='hit'><h3>{}</h3><div class='place'>{}</div></article>").format(
            plain(row.title or row.source), plain(row.path)
        )
    )
    if row.reason:
        st.error(label(row.reason), icon=":material/error:")
    if not row.chunks:
        return
    views = ["Pages", "Text"] if row.pages and row.source.lower().endswith(".pdf") else ["Text"]
    view = views[0]
    if len(views) > 1:
        view = st.segmented_control(
            "Preview", views, default="Pages", required=True, label_visibility="collapsed"
        )
    if view == "Pages":
        leaf_through(name, row.source, row.pages or 1, row.source)
        return
    chunks = workspace().text_of(name, row.source)
    first = 0
    if len(chunks) > _SHOWN_AT_ONCE:
        pages = -(-len(chunks) // _SHOWN_AT_ONCE)
        first = (st.pagination(pages, key=f"text-{row.source}") - 1) * _SHOWN_AT_ONCE
    for chunk in chunks[first : first + _SHOWN_AT_ONCE]:
        with st.container(border=True):
            where = chunk.provenance
            page = "" if where.page is None else f"page {where.page} · "
            st.html(
                Markup(
                    "<div class='hit'><div class='headings'>{}{}</div><p class='text'>{}</p></div>"
                ).format(page, plain(" › ".join(where.headings)), plain(chunk.text))
            )
