"""A job as it runs: how far it is, what it said, and a way to end it."""

from collections.abc import Callable

import streamlit as st
from markupsafe import Markup

from app.jobs import Job
from ui.resources import workspace
from ui.safe import label, plain

_EVERY = 1.0  # seconds
_LINES = 60


def show_job(kind: str, ended: Callable[[Job], None]) -> None:
    """Show the jobs of a kind: those that go on, and the last one that has ended.

    Parameters
    ----------
    ended
        Shows what a job that went well has brought.
    """
    for number, job in enumerate(workspace().jobs.of(kind)):
        with st.container(border=True, key=f"job-{kind}-{number}"):
            if job.active:
                st.fragment(_running, run_every=_EVERY)(job, number)
            else:
                _over(job, ended)


def _running(job: Job, number: int) -> None:
    if not job.active:
        st.rerun()
    waits = job.state == "waiting"
    in_hand = f", {len(job.in_hand):,} in hand" if job.in_hand else ""
    count = f"{job.done:,} of {job.total:,}{in_hand} · " if job.total else ""
    st.markdown(f"**{label(job.title)}**")
    st.progress(job.share, text=label("waiting for the job before it" if waits else job.what))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(
            Markup("<div class='state' role='status'>{}{:.0f} s</div>").format(count, job.seconds)
        )
        if job.stopped():
            st.caption("ending after what is in hand …")
        else:
            st.button(
                "Cancel",
                key=f"cancel-{job.kind}-{number}",
                on_click=job.cancel,
                icon=":material/stop:",
            )
    _lines(job)


def _over(job: Job, ended: Callable[[Job], None]) -> None:
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
        st.info("Cancelled; what was done is kept.", icon=":material/stop_circle:")
    if job.state == "done" or job.result is not None:
        ended(job)
    _lines(job)


def _lines(job: Job) -> None:
    if not job.seen:
        return
    lines = Markup("").join(
        Markup("<div class='{}'>{}</div>").format(
            "failed" if line.startswith("failed") else "", plain(line)
        )
        for line in reversed(list(job.seen)[-_LINES:])
    )
    st.html(
        Markup("<div class='seen' tabindex='0' role='log' aria-label='Files'>{}</div>").format(
            lines
        )
    )
