"""What the commands print: for people by Rich, for scripts as JSON.

Progress and complaints go to standard error; standard output has results alone.
"""

import contextlib
import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ingest.report import FileOutcome, IngestReport, Watcher
from retrieval.retriever import Retriever
from retrieval.types import Hit, Mode

_PREVIEW = 420  # characters of a passage, unless --full
_NAME = 40  # characters of a file's name beside the progress bar
_MARK = "bold yellow"


def print_json(value: object) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


@contextlib.contextmanager
def waiting(what: str, quiet: bool) -> Iterator[None]:
    """Turn a wheel while something takes long, on a terminal only."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


class ProgressWatcher(Watcher):
    """Counts what is done; subclasses show it."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.chunks = 0
        self.failures = 0

    def planned(self, files: Sequence[Any]) -> None:
        """The work is known."""
        self.sizes = {file.source: max(file.size, 1) for file in files}

    def encoded(self, chunks: int) -> None:
        """See `Watcher.encoded`."""
        self.chunks += chunks

    def settled(self, outcome: FileOutcome) -> None:
        """A file is done, or failed."""
        self.failures += outcome.status == "failed"


class _Bar(ProgressWatcher):
    """A bar over the bytes of the files, with the file in hand, the rate and the time left."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._task = progress.add_task("", total=None, files="", chunks="")
        self._settled = 0

    def planned(self, files: Sequence[Any]) -> None:
        super().planned(files)
        self._show(total=sum(self.sizes.values()))

    def reading(self, source: str) -> None:
        name = source if len(source) <= _NAME else "…" + source[-_NAME + 1 :]
        self._show(description=name)

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
            chunks=f"{self.chunks} chunks, {rate:.0f}/s",
            **fields,
        )


class _Lines(ProgressWatcher):
    """A line for each file that was read, where no terminal shows a bar."""

    def settled(self, outcome: FileOutcome) -> None:
        super().settled(outcome)
        if outcome.status in ("added", "changed"):
            print(
                f"{outcome.status}: {outcome.source} ({outcome.chunks} chunks)",
                file=sys.stderr,
                flush=True,
            )


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator[ProgressWatcher]:
    """Show progress in the way that suits where standard error goes."""
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


def print_report(report: IngestReport, discovery: Any, collection: str) -> None:
    """Print what happened, and every file that failed with its reason."""
    console = Console()
    counts = report.counts
    table = Table(title=f"Collection '{collection}'", title_justify="left")
    for name in ("added", "changed", "unchanged", "failed"):
        table.add_column(name, justify="right")
    table.add_column("chunks embedded", justify="right")
    table.add_column("chunks in all", justify="right")
    table.add_column("seconds", justify="right")
    table.add_row(
        *(str(counts[name]) for name in ("added", "changed", "unchanged", "failed")),
        str(report.embedded),
        str(report.chunks_total),
        f"{sum(report.seconds.values()):.1f}",
    )
    console.print(table)
    if report.outcomes and not report.embedded and not report.failed:
        console.print("Everything was up to date: 0 chunks embedded.")
    for outcome in report.failed:
        console.print(
            Text.assemble(("failed  ", "red"), f"{outcome.source}: {outcome.reason}"),
            soft_wrap=True,
        )
    if discovery.skipped:
        kinds = ", ".join(f"{n} x {suffix}" for suffix, n in discovery.skipped.most_common())
        console.print(f"Left out, because no loader reads them: {kinds}", highlight=False)


def search_json(question: str, mode: Mode, took_ms: float, hits: Sequence[Hit]) -> dict[str, Any]:
    """Build the object that ``search --json`` prints."""
    return {
        "question": question,
        "mode": mode,
        "took_ms": round(took_ms, 1),
        "hits": [
            {
                "rank": hit.rank,
                "score": hit.score,
                "chunk_id": str(hit.chunk.id),
                "text": hit.chunk.text,
                "source": hit.chunk.provenance.source,
                "page": hit.chunk.provenance.page,
                "headings": list(hit.chunk.provenance.headings),
                "legs": {
                    name: place and {"rank": place.rank, "score": place.score}
                    for name, place in hit.legs.items()
                },
            }
            for hit in hits
        ],
    }


def print_hits(
    question: str,
    hits: Sequence[Hit],
    took_ms: float,
    retriever: Retriever,
    *,
    explain: bool,
    full: bool,
) -> None:
    """Print numbered hits: score, place, headings, and the passage with its terms marked."""
    console = Console()
    if not hits:
        console.print(
            "Nothing found: no passage shares a word with the question. Try --mode hybrid or dense."
        )
        return
    for hit in hits:
        where = hit.chunk.provenance
        place = where.source if where.page is None else f"{where.source}:{where.page}"
        head = Text.assemble(
            (f"{hit.rank:>2}. ", "bold"), (f"{hit.score:.3f}  ", "cyan"), (place, "bold")
        )
        console.print(head, soft_wrap=True)
        if where.headings:
            console.print(Padding(Text(" > ".join(where.headings), style="dim"), (0, 0, 0, 4)))
        passage = _passage(hit, retriever.matches(question, hit.chunk.text), full)
        console.print(Padding(passage, (0, 0, 0, 4)))
        if explain:
            console.print(Padding(_explanation(hit), (0, 0, 0, 4)))
        console.print()
    console.print(f"{len(hits)} hits in {took_ms / 1000:.2f} s", style="dim", highlight=False)


def _passage(hit: Hit, matches: Sequence[tuple[int, int]], full: bool) -> Text:
    """The passage, or the stretch of it with the most marked words."""
    text = hit.chunk.text
    start, end = (0, len(text)) if full else _window(text, matches)
    shown = Text(text[start:end].replace("\n\n", "\n"))
    marks = [(a, b) for a, b in matches if start <= a and b <= end]
    for a, b in marks:
        # Blank lines before a mark were folded above.
        folded = text.count("\n\n", start, a)
        shown.stylize(_MARK, a - start - folded, b - start - folded)
    return Text("…" if start else "") + shown + Text("…" if end < len(text) else "")


def _window(text: str, matches: Sequence[tuple[int, int]]) -> tuple[int, int]:
    if len(text) <= _PREVIEW:
        return 0, len(text)

    def distinct(start: int) -> int:
        return len({text[a:b].lower() for a, b in matches if start <= a and b <= start + _PREVIEW})

    best = max(
        [0, *(max(a - _PREVIEW // 4, 0) for a, _ in matches)], key=lambda s: (distinct(s), -s)
    )
    start = text.rfind(" ", 0, best) + 1 if best else 0
    end = text.find(" ", min(start + _PREVIEW, len(text)))
    return start, len(text) if end < 0 else end


def _explanation(hit: Hit) -> Text:
    parts = []
    for name, place in hit.legs.items():
        if place is None:
            parts.append(f"{name}: not among its candidates")
        else:
            parts.append(f"{name}: rank {place.rank}, score {place.score:.3f}")
    return Text("; ".join(parts), style="green")


def print_status(state: dict[str, Any]) -> None:
    """Print settings and collections."""
    console = Console(highlight=False)
    encoder = state["encoder"]
    console.print(f"data directory  {state['data_dir']}", soft_wrap=True, markup=False)
    console.print(f"engine          {state['engine']}")
    console.print(
        f"encoder         {encoder['name']}  (fingerprint {encoder['fingerprint'][:12]}, "
        f"reads {encoder['window']} tokens)",
        soft_wrap=True,
        markup=False,
    )
    if not state["collections"]:
        console.print("no collection yet: run `twotower ingest PATH`")
        return
    table = Table()
    for name in ("collection", "documents", "chunks", "size", "encoder"):
        right = name in ("documents", "chunks", "size")
        table.add_column(name, justify="right" if right else "left")
    for entry in state["collections"]:
        table.add_row(
            entry["name"],
            str(entry.get("documents", "-")),
            str(entry.get("chunks", "-")),
            f"{entry['bytes'] / 2**20:.1f} MB",
            _encoder_cell(entry),
        )
    console.print(table)
    for entry in state["collections"]:
        if "error" in entry:
            print(f"error: {textwrap.shorten(entry['error'], 500)}", file=sys.stderr)


def _encoder_cell(entry: dict[str, Any]) -> str:
    if "encoder" not in entry:
        return "-"
    name = f"{entry['encoder']} ({entry['fingerprint'][:12]})"
    return name if entry["matches_settings"] else f"{name}, not the one in the settings"
