"""Progress on standard error, so that standard output has only results."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from twotower.app.cli.rendering.output import printable
from twotower.ingest.report import FileOutcome, IngestObserver

_NAME = 40  # characters of a file's name beside the progress bar


@contextlib.contextmanager
def counting(what: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal the number of finished chunks and the remaining time."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), TextColumn("{task.completed}/{task.total} chunks"),
               TimeRemainingColumn())  # fmt: skip
    shown = Progress(*columns, console=console, disable=quiet or not console.is_terminal)
    with shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


class ProgressWatcher(IngestObserver):
    """Counts finished work; subclasses show it."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.chunks = 0
        self.pages = 0
        self.failures = 0

    def planned(self, files: Sequence[Any]) -> None:
        """The files of the run are known."""
        self.sizes = {file.source: max(file.size, 1) for file in files}

    def encoded(self, chunks: int) -> None:
        """See `IngestObserver.encoded`."""
        self.chunks += chunks

    def settled(self, outcome: FileOutcome) -> None:
        """A file is finished, or failed."""
        self.failures += outcome.status == "failed"
        self.pages += outcome.pages

    def slow(self, source: str, seconds: float) -> None:
        """See `IngestObserver.slow`."""
        _say(f"reading {printable(source)} takes long: {seconds:.0f} s so far")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Bar(ProgressWatcher):
    """A bar over the bytes of the files, with the present file, the rate and the time left."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._task = progress.add_task("", total=None, files="", chunks="")
        self._settled = 0

    def planned(self, files: Sequence[Any]) -> None:
        super().planned(files)
        self._show(total=sum(self.sizes.values()))

    def reading(self, source: str) -> None:
        source = printable(source)
        name = source if len(source) <= _NAME else "…" + source[-_NAME + 1 :]
        self._show(description=name)

    def busy(self, what: str) -> None:
        self._show(description=what)

    def slow(self, source: str, seconds: float) -> None:
        self._show(description=f"{printable(source)[-_NAME:]}, {seconds:.0f} s so far")

    def encoded(self, chunks: int) -> None:
        super().encoded(chunks)
        self._show()

    def settled(self, outcome: FileOutcome) -> None:
        super().settled(outcome)
        self._settled += 1
        self._progress.advance(self._task, self.sizes.get(outcome.source, 0))
        self._show()

    def _show(self, **fields: Any) -> None:
        elapsed = self._progress.tasks[self._task].elapsed or 0.0
        rate = self.chunks / elapsed if elapsed else 0.0
        failed = f", {self.failures} failed" if self.failures else ""
        self._progress.update(
            self._task,
            files=f"{self._settled}/{len(self.sizes)} files{failed}",
            chunks=f"{self.pages} pages, {self.chunks} chunks, {rate:.0f}/s",
            **fields,
        )


class _Lines(ProgressWatcher):
    """A line for each file that was read, where there is no terminal for a bar."""

    def settled(self, outcome: FileOutcome) -> None:
        super().settled(outcome)
        if outcome.status in ("added", "changed", "moved", "removed"):
            _say(f"{outcome.status}: {printable(outcome.source)} ({outcome.chunks} chunks)")


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator[ProgressWatcher]:
    """Show a bar on a terminal, and lines elsewhere."""
    console = Console(stderr=True)
    if quiet:
        yield ProgressWatcher()
    elif not console.is_terminal:
        yield _Lines()
    else:
        columns = (
            BarColumn(bar_width=24),
            TextColumn("{task.fields[files]}"),
            TextColumn("{task.fields[chunks]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", style="dim", markup=False),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            yield _Bar(bar)
