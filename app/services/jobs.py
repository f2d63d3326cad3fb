"""Long work beside a page that stays usable: one job at a time, with progress and cancellation."""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from twotower.retrieval.vocabulary.errors import TwoTowerError

State = Literal["waiting", "running", "done", "failed", "cancelled"]

_LOG_LINES = 200


class Job:
    """One piece of work, with its progress and its result.

    Attributes
    ----------
    kind
        ``ingest``, ``reindex`` or ``evaluate``.
    title
        Title for people.
    what
        Description of the present step.
    done, total
        Number of units that are done, and of all units; a total of 0 is unknown.
    in_progress
        Names of the units that were begun and are not done; each counts as half done.
    log
        Lines about what happened, newest last.
    result
        Value that the work returned.
    error
        Reason of the failure; empty where the work did not fail.
    """

    def __init__(self, kind: str, title: str) -> None:
        self.kind = kind
        self.title = title
        self.state: State = "waiting"
        self.what = ""
        self.done = 0
        self.total = 0
        self.in_progress: set[str] = set()
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self.result: Any = None
        self.error = ""
        self.started = self.ended = time.monotonic()
        self._cancelled = threading.Event()

    def report(self, what: str, done: int, total: int) -> None:
        """Report the progress of the work."""
        self.what, self.done, self.total = what, done, total

    def cancel(self) -> None:
        """Request that the work ends soon; what is done is kept."""
        self._cancelled.set()

    def should_stop(self) -> bool:
        """Return True if the work should end."""
        return self._cancelled.is_set()

    @property
    def active(self) -> bool:
        """True until the work has ended."""
        return self.state in ("waiting", "running")

    @property
    def share(self) -> float:
        """Share of the work that is done, in [0, 1]."""
        done = self.done + len(self.in_progress) / 2
        return min(done / self.total, 1.0) if self.total else 0.0

    @property
    def seconds(self) -> float:
        """Duration of the work so far."""
        return (time.monotonic() if self.active else self.ended) - self.started

    def run(self, work: Callable[["Job"], Any]) -> None:
        """Do the work; every error becomes one line."""
        self.started = time.monotonic()
        if not self.should_stop():
            self.state = "running"
            try:
                self.result = work(self)
            except TwoTowerError as error:
                self.error = str(error)
            except Exception as error:  # noqa: BLE001 - no traceback reaches a user
                self.error = f"this is a bug in twotower: {type(error).__name__}: {error}"
        self.ended = time.monotonic()
        self.state = "failed" if self.error else "cancelled" if self.should_stop() else "done"


class Jobs:
    """The jobs of a process, one after the other: two at once would compete for the cores."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "job", _lower_priority)
        self._jobs: list[Job] = []  # oldest first; a job that has ended stays until it is forgotten
        self._lock = threading.Lock()

    def start(self, kind: str, title: str, work: Callable[[Job], Any]) -> Job:
        """Start a job as soon as the earlier ones have ended."""
        job = Job(kind, title)
        with self._lock:
            self._jobs = [known for known in self._jobs if known.active or known.kind != kind]
            self._jobs.append(job)
        self._thread.submit(job.run, work)
        return job

    def of(self, kind: str) -> list[Job]:
        """List the last job of a kind that has ended and the active ones, oldest first."""
        known = [job for job in self._jobs if job.kind == kind]
        active = [job for job in known if job.active]
        return [*[job for job in known if job not in active][-1:], *active]

    def active(self) -> list[Job]:
        """List the jobs that have not ended."""
        return [job for job in self._jobs if job.active]

    def forget(self, kind: str) -> None:
        """Drop the jobs of a kind that have ended."""
        with self._lock:
            self._jobs = [job for job in self._jobs if job.active or job.kind != kind]

    def close(self) -> None:
        """Cancel all jobs, and wait until they have committed what is in progress."""
        for job in self.active():
            job.cancel()
        self._thread.shutdown(wait=True)


def _lower_priority() -> None:
    """Let searches go first; the threads and processes that this thread starts inherit it."""
    if sys.platform == "linux":  # elsewhere a thread has no niceness of its own
        os.nice(10)
