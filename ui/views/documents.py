"""Documents page: the documents of a collection, failed files, and forms to add more."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st
from markupsafe import Markup

from twotower.app.example import HANDBOOK
from twotower.app.services.background import ingest
from twotower.app.services.documents import DocumentRow
from twotower.app.services.jobs import Job
from twotower.app.services.uploads import safe_name, suffixes
from twotower.ingest.report import IngestReport
from twotower.retrieval.vocabulary.errors import ConfigurationError, TwoTowerError
from twotower.ui.components.job import show_job
from twotower.ui.components.notices import empty, show_error
from twotower.ui.components.pdf_page import show_pages
from twotower.ui.components.settings import choose_collection
from twotower.ui.resources import workspace
from twotower.ui.safe import label, plain

_STATES = {
    "ready": "ready",
    "changed": "file changed",
    "gone": "file missing",
    "failed": "failed",
}
_PREVIEW_PASSAGES = 20  # on one page of the preview


def show() -> None:
    """Show the page."""
    st.title("Documents")
    try:
        with st.sidebar:
            name = choose_collection()
        _show_ingest_forms(name)
        show_job("ingest", _show_report)
        _show_documents(name)
    except TwoTowerError as error:
        show_error(error)


def _show_ingest_forms(name: str) -> None:
    upload, folder = st.tabs(["Upload files", "Read a folder"])
    with upload, st.form("upload", clear_on_submit=True, border=False):
        files = st.file_uploader(
            "Files to ingest",
            type=suffixes(),
            accept_multiple_files=True,
            help="A file replaces an earlier upload of the same name.",
        )
        if st.form_submit_button("Ingest", type="primary", icon=":material/upload:"):
            _ingest_uploads(name, files)
    with folder, st.form("folder", border=False):
        text = st.text_input(
            "Folder on the machine that serves this page", placeholder="~/Documents", key="folder"
        )
        prune = st.checkbox("Remove documents whose files are no longer in the folder")
        if st.form_submit_button("Ingest the folder", icon=":material/folder_open:"):
            try:
                _start(name, [workspace().access.folder(text)], prune)
            except TwoTowerError as error:  # shown beside the box; the rest of the page stays
                show_error(error)


def _ingest_uploads(
    name: str, files: Sequence["st.runtime.uploaded_file_manager.UploadedFile"]
) -> None:
    if not files:
        st.info("Choose files first, or drop them into the box.", icon=":material/upload_file:")
        return
    uploads: list[Path] = []
    for file in files:
        try:
            if safe_name(file.name) in {path.name for path in uploads}:
                raise ConfigurationError(
                    f"two files are named {file.name}: the second was skipped, rename it"
                )
            uploads.append(workspace().documents.uploads(name).save(file.name, file, file.size))
        except TwoTowerError as error:
            show_error(error)
    if uploads:
        _start(name, uploads)


def _start(name: str, paths: Sequence[Path], prune: bool = False) -> None:
    ingest(workspace(), name, paths, prune)


def _show_report(job: Job) -> None:
    report: IngestReport = job.result
    counts = ", ".join(f"{count} {status}" for status, count in report.counts.items() if count)
    st.html(
        Markup(
            "<div class='state' role='status'>{}; {:,} passages encoded in {:.0f} s</div>"
        ).format(counts or "nothing to do", report.embedded, job.seconds)
    )
    if report.gone:
        names = ", ".join(report.gone[:5])
        st.caption(f"No longer in the folder, but still in the index: {label(names)}")


def _show_documents(name: str) -> None:
    rows = workspace().documents.rows(name)
    if not rows:
        empty(
            "No documents yet",
            "Drop files into the box above, or enter a folder. Everything stays on this machine.",
            "folder_open",
        )
        if HANDBOOK.is_dir() and not workspace().jobs.active():
            with st.container(horizontal_alignment="center"):
                st.button(
                    "Try it with the example handbook",
                    on_click=_start,
                    args=(name, [HANDBOOK]),
                    icon=":material/auto_stories:",
                )
        return
    failed = sum(row.state == "failed" for row in rows)
    with st.container(horizontal=True):
        st.metric("Documents", f"{len(rows) - failed:,}", border=True)
        st.metric("Passages", f"{sum(row.chunks for row in rows):,}", border=True)
        st.metric("Failed", f"{failed:,}", border=True)
    _show_table(_filtered(rows))
    _show_selection(name, {row.source: row for row in rows})


def _filtered(rows: Sequence[DocumentRow]) -> list[DocumentRow]:
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
    part = (text or "").strip().lower()
    return [
        row
        for row in rows
        if part in f"{row.source} {row.title}".lower() and state in (None, row.state)
    ]


def _show_table(rows: Sequence[DocumentRow]) -> None:
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

    def select() -> None:
        numbers = st.session_state["table"].selection.rows
        st.session_state["chosen"] = [rows[n].source for n in numbers if n < len(rows)]

    st.dataframe(
        frame,
        key="table",
        on_select=select,
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
        alt="Documents of the collection",
    )


def _show_selection(name: str, rows: dict[str, DocumentRow]) -> None:
    """Actions for the documents that are selected in the table or by name."""
    existing = [source for source in st.session_state.get("chosen", ()) if source in rows]
    st.session_state["chosen"] = existing
    chosen = st.multiselect(
        "Selected documents", list(rows), key="chosen", placeholder="select in the table, or here"
    )
    busy = bool(workspace().jobs.active())
    with st.container(horizontal=True):
        st.button(
            "Ingest again",
            icon=":material/refresh:",
            disabled=busy or not any(rows[source].path for source in chosen),
            on_click=_ingest_again,
            args=(name, [rows[source] for source in chosen]),
        )
        if st.button("Delete", icon=":material/delete:", disabled=not chosen):
            _confirm_delete(name, [rows[source] for source in chosen])
    if len(chosen) == 1:
        _show_preview(name, rows[chosen[0]])


def _ingest_again(name: str, rows: Sequence[DocumentRow]) -> None:
    _start(name, [Path(row.path) for row in rows if row.path])


@st.dialog("Delete documents?")
def _confirm_delete(name: str, rows: Sequence[DocumentRow]) -> None:
    own = workspace().documents.uploads(name).folder.resolve()
    uploaded = sum(Path(row.path).parent.resolve() == own for row in rows if row.path)
    what = label(rows[0].source) if len(rows) == 1 else f"{len(rows)} documents"
    st.write(f"Searches will no longer find **{what}**.")
    if uploaded:
        st.write("Uploaded files are deleted permanently.")
    if uploaded < len(rows):
        st.write("Files in folders stay. To restore their documents, ingest the folder again.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel"):
            st.rerun()
        if st.button("Delete permanently" if uploaded else "Delete", type="primary", key="confirm"):
            passages = workspace().documents.delete(name, [row.source for row in rows])
            st.toast(f"{what} deleted ({passages} passages)", icon=":material/delete:")
            st.rerun()


def _show_preview(name: str, row: DocumentRow) -> None:
    st.html(
        Markup("<article class='hit'><h3>{}</h3><div class='place'>{}</div></article>").format(
            plain(row.title or row.source), plain(row.path)
        )
    )
    if row.reason and row.state == "failed":
        st.error(label(row.reason), icon=":material/error:")
    elif row.reason:
        st.warning(f"Not read: {label(row.reason)}", icon=":material/warning:")
    if not row.chunks:
        return
    views = ["Pages", "Text"] if row.pages and row.source.lower().endswith(".pdf") else ["Text"]
    view = views[0]
    if len(views) > 1:
        view = st.segmented_control(
            "Preview", views, default="Pages", required=True, label_visibility="collapsed"
        )
    if view == "Pages":
        show_pages(name, row.source, row.pages or 1, row.source)
        return
    chunks = workspace().documents.show(name, row.source)[1]
    first = 0
    if len(chunks) > _PREVIEW_PASSAGES:
        pages = -(-len(chunks) // _PREVIEW_PASSAGES)
        first = (st.pagination(pages, key=f"text-{row.source}") - 1) * _PREVIEW_PASSAGES
    for chunk in chunks[first : first + _PREVIEW_PASSAGES]:
        with st.container(border=True):
            where = chunk.provenance
            page = "" if where.page is None else f"page {where.page} · "
            st.html(
                Markup(
                    "<div class='hit'><div class='headings'>{}{}</div><p class='text'>{}</p></div>"
                ).format(page, plain(" › ".join(where.headings)), plain(chunk.text))
            )
