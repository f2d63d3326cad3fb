"""A job of the page: its progress, its log, and a button to cancel it."""

from collections.abc import Callable

import streamlit as st
from markupsafe import Markup

from twotower.app.services.jobs import Job
from twotower.ui.resources import workspace
from twotower.ui.safe import label, plain

_REFRESH_SECONDS = 1.0
_LOG_LINES = 60


def show_job(kind: str, show_result: Callable[[Job], None]) -> None:
    """Show the active jobs of a kind, and the last one that has ended.

    Parameters
    ----------
    show_result
        Function that shows the result of a job.
    """
    for number, job in enumerate(workspace().jobs.of(kind)):
        with st.container(border=True, key=f"job-{kind}-{number}"):
            if job.active:
                st.fragment(_show_running, run_every=_REFRESH_SECONDS)(job, number)
            else:
                _show_ended(job, show_result)


def _show_running(job: Job, number: int) -> None:
    if not job.active:
        st.rerun()
    waiting = job.state == "waiting"
    in_progress = f", {len(job.in_progress):,} in progress" if job.in_progress else ""
    count = f"{job.done:,} of {job.total:,}{in_progress} · " if job.total else ""
    st.markdown(f"**{label(job.title)}**")
    st.progress(
        job.share, text=label("waiting for an earlier job to finish" if waiting else job.what)
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(
            Markup("<div class='state' role='status'>{}{:.0f} s</div>").format(count, job.seconds)
        )
        if job.should_stop():
            st.caption("stopping after the current step …")
        else:
            st.button(
                "Cancel",
                key=f"cancel-{job.kind}-{number}",
                on_click=job.cancel,
                icon=":material/stop:",
            )
    _show_log(job)


def _show_ended(job: Job, show_result: Callable[[Job], None]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{label(job.title)}**")
        st.button(
            "Close",
            key=f"close-{job.kind}",
            type="tertiary",
            on_click=workspace().jobs.forget,
            args=(job.kind,),
        )
    if job.state == "failed":
        st.error(label(job.error), icon=":material/error:")
    elif job.state == "cancelled":
        st.info("Cancelled. Finished work is kept.", icon=":material/stop_circle:")
    if job.state == "done" or job.result is not None:
        show_result(job)
    _show_log(job)


def _show_log(job: Job) -> None:
    if not job.log:
        return
    lines = Markup("").join(
        Markup("<div class='{}'>{}</div>").format(
            "failed" if line.startswith("failed") else "", plain(line)
        )
        for line in reversed(list(job.log)[-_LOG_LINES:])
    )
    st.html(
        Markup(
            "<div class='seen' tabindex='0' role='log' aria-label='Log of the job'>{}</div>"
        ).format(lines)
    )
