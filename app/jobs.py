"""Work that takes long beside a page that stays usable: one job at a time, seen and cancelled."""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from retrieval.errors import TwoTowerError

State = Literal["waiting", "running", "done", "failed", "cancelled"]

_SEEN = 200  # lines of a job that are kept


class Job:
    """One piece of work: what it is at, and what became of it.

    Attributes
    ----------
    kind
        ``ingest``, ``reindex`` or ``evaluate``.
    title
        For people.
    what
        What is in hand.
    done, total
        How far it is, in whatever it counts; a total of 0: not known.
    in_hand
        What was begun and is not done; each counts as half done.
    seen
        What is worth reading afterwards, newest last.
    result
        What the work returned.
    error
        Why it failed; empty where it did not.
    """

    def __init__(self, kind: str, title: str) -> None:
        self.kind = kind
        self.title = title
        self.state: State = "waiting"
        self.what = ""
        self.done = 0
        self.total = 0
        self.in_hand: set[str] = set()
        self.seen: deque[str] = deque(maxlen=_SEEN)
        self.result: Any = None
        self.error = ""
        self.started = self.ended = time.monotonic()
        self._cancelled = threading.Event()

    def told(self, what: str, done: int, total: int) -> None:
        """Say how far the work is."""
        self.what, self.done, self.total = what, done, total

    def cancel(self) -> None:
        """Ask the work to end soon; what is done is kept."""
        self._cancelled.set()

    def stopped(self) -> bool:
        """Whether it shall end."""
        return self._cancelled.is_set()

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("waiting", "running")

    @property
    def share(self) -> float:
        """How much is done, in [0, 1]."""
        done = self.done + len(self.in_hand) / 2
        return min(done / self.total, 1.0) if self.total else 0.0

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        return (time.monotonic() if self.active else self.ended) - self.started

    def run(self, work: Callable[["Job"], Any]) -> None:
        """Do the work; every error ends as one line."""
        self.started = time.monotonic()
        if not self.stopped():
            self.state = "running"
            try:
                self.result = work(self)
            except TwoTowerError as error:
                self.error = str(error)
            except Exception as error:  # noqa: BLE001 - no traceback reaches a user
                self.error = f"this is a bug in twotower: {type(error).__name__}: {error}"
        self.ended = time.monotonic()
        self.state = "failed" if self.error else "cancelled" if self.stopped() else "done"


class Jobs:
    """The jobs of a process, one after the other: two would take each other's cores."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "job", _stand_back)
        self._jobs: list[Job] = []  # oldest first; those that ended stay until they are forgotten
        self._lock = threading.Lock()

    def start(self, kind: str, title: str, work: Callable[[Job], Any]) -> Job:
        """Start a job as soon as those before it have ended."""
        job = Job(kind, title)
        with self._lock:
            self._jobs = [known for known in self._jobs if known.active or known.kind != kind]
            self._jobs.append(job)
        self._thread.submit(job.run, work)
        return job

    def of(self, kind: str) -> list[Job]:
        """Those of a kind, oldest first: the last one that has ended, and the ones that go on."""
        known = [job for job in self._jobs if job.kind == kind]
        going_on = [job for job in known if job.active]
        return [*[job for job in known if job not in going_on][-1:], *going_on]

    def active(self) -> list[Job]:
        """Those that have not ended."""
        return [job for job in self._jobs if job.active]

    def forget(self, kind: str) -> None:
        """Drop those of a kind that have ended."""
        with self._lock:
            self._jobs = [job for job in self._jobs if job.active or job.kind != kind]

    def close(self) -> None:
        """Ask all to end, and wait for it: what is in hand is committed."""
        for job in self.active():
            job.cancel()
        self._thread.shutdown(wait=True)


def _stand_back() -> None:
    """Let searches go first; the threads and processes that this one starts do as it does."""
    if sys.platform == "linux":  # elsewhere a thread has no niceness of its own
        os.nice(10)
