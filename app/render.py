"""What the commands print: for people by Rich, for scripts as JSON.

Progress and complaints go to standard error; standard output has results alone.
"""

import contextlib
import dataclasses
import json
import sys
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from app.hits import window
from ingest.report import STATUSES, IngestReport
from retrieval.types import Chunk, DocumentRecord, Explanation, Hit

if TYPE_CHECKING:  # what one command needs, the others need not wait for
    from ingest.discover import Discovery
    from ingest.sync import Plan
    from retrieval.context import Context
    from retrieval.retriever import Retriever

_TERMS = 12  # of a question, in an explanation
_PRECISIONS = {"auto": "bf16 if the processor has it", "bf16": "bf16", "fp32": "fp32"}
_MARK = "bold yellow"


def print_json(value: object) -> None:
    """Print one JSON object on standard output, at once: `--watch` prints another much later."""
    print(json.dumps(value, ensure_ascii=False, indent=2), flush=True)


@contextlib.contextmanager
def waiting(what: str, quiet: bool) -> Iterator[None]:
    """Turn a wheel while something takes long, on a terminal only."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


def printable(text: str) -> str:
    """Escape what would move the cursor or turn the writing round: names come from strangers."""
    return "".join(
        ascii(character)[1:-1] if unicodedata.category(character)[0] == "C" else character
        for character in text
    )


def harmless(text: str) -> str:
    """Replace control characters of a passage by marks of the same length; lines stay."""
    return "".join(
        "\N{SYMBOL FOR SUBSTITUTE}" if unicodedata.category(c) in ("Cc", "Cs") and c != "\n" else c
        for c in text
    )


def print_report(report: IngestReport, discovery: "Discovery", collection: str) -> None:
    """Print what happened, and every file that failed with its reason."""
    console = Console(highlight=False)
    counts = report.counts
    table = Table(title=f"Collection '{collection}'", title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("how many", justify="right")
    for status in STATUSES:
        table.add_row(f"documents {status}", str(counts[status]))
    table.add_row("chunks embedded", str(report.embedded))
    table.add_row("chunks in all", str(report.chunks_total))
    table.add_row("seconds", f"{sum(report.seconds.values()):.1f}")
    console.print(table)
    if report.outcomes and not report.embedded and not report.failed:
        console.print("Everything was up to date: 0 chunks embedded.")
    for outcome in report.failed:
        line = f"{printable(outcome.source)}: {printable(outcome.reason)}"
        console.print(Text.assemble(("failed  ", "red"), line), soft_wrap=True)
    if report.gone:
        names = ", ".join(printable(source) for source in report.gone[:5])
        more = f" and {len(report.gone) - 5} more" if len(report.gone) > 5 else ""  # noqa: PLR2004
        console.print(
            Text(f"Gone from the folder, still in the index (--prune removes them): {names}{more}"),
            soft_wrap=True,
        )
    if discovery.skipped:
        kinds = ", ".join(f"{n} x {suffix}" for suffix, n in discovery.skipped.most_common(12))
        console.print(Text(f"Left out, because no loader reads them: {kinds}"), soft_wrap=True)


def plan_steps(plan: "Plan", prune: bool) -> list[tuple[str, str]]:
    """List what a run would do, but for what stays as it is."""
    steps: list[tuple[str, str]] = [
        (file.action, file.source) for file in plan.files if file.action != "keep"
    ]
    if prune:
        steps += [("remove", record.source) for record in plan.gone]
    return steps


def print_plan(steps: Sequence[tuple[str, str]]) -> None:
    """Print what a run would do, a line each."""
    for action, source in steps:
        print(f"{action:8} {printable(source)}")
    print(f"{len(steps)} things to do" if steps else "nothing to do: everything is up to date")


def print_documents(documents: Sequence[DocumentRecord]) -> None:
    """Print a table of documents."""
    if not documents:
        print("no documents")
        return
    table = Table()
    for name in ("document", "title", "pages", "chunks", "ingested"):
        right = name in ("pages", "chunks")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for record in documents:
        table.add_row(
            Text(printable(record.source)),
            Text(printable(record.title)),
            "-" if record.pages is None else str(record.pages),
            str(record.chunks),
            record.ingested_at[:16].replace("T", " "),
        )
    Console(highlight=False).print(table)


def print_chunks(record: DocumentRecord, chunks: Sequence[Chunk]) -> None:
    """Print a document's chunks as they are displayed, and what is encoded before each."""
    console = Console(highlight=False)
    console.print(Text(f"{printable(record.source)}  {record.title}", style="bold"), soft_wrap=True)
    for chunk in chunks:
        where = chunk.provenance
        page = "" if where.page is None else f", page {where.page}"
        head = f"[{chunk.position}] characters {where.start} to {where.end}{page}"
        console.print(Text(head, style="cyan"), soft_wrap=True)
        if chunk.prefix:
            console.print(Padding(Text(f"({chunk.prefix})", style="dim"), (0, 0, 0, 4)))
        console.print(Padding(Text(harmless(chunk.text)), (0, 0, 1, 4)))


def print_context(context: "Context", as_json: bool) -> None:
    """Print a grounding context as a language model would be given it."""
    if not as_json:
        print(harmless(context.text))
        return
    print_json(
        {
            "tokens": context.tokens,
            "text": context.text,
            "passages": [
                dataclasses.asdict(passage)
                | {"chunk_ids": [str(id) for id in passage.chunk_ids], "citation": passage.citation}
                for passage in context.passages
            ],
        }
    )


def print_facets(key: str, counts: Mapping[str, int]) -> None:
    """Print a table of values and how many passages have them."""
    table = Table()
    table.add_column(printable(key), overflow="fold")
    table.add_column("passages", justify="right")
    for value, count in counts.items():
        table.add_row(Text(printable(value)), str(count))
    Console(highlight=False).print(table)


def print_hits(
    question: str,
    hits: Sequence[Hit],
    took_ms: float,
    retriever: "Retriever",
    *,
    explain: bool,
    full: bool,
) -> None:
    """Print numbered hits: score, place, headings, and the passage with its terms marked."""
    console = Console()
    if not hits:
        console.print(
            "Nothing found: no passage fits. Search wider: without --filter, without quotes, "
            "or with --mode hybrid."
        )
        return
    judgement = hits[0].judgement
    if judgement.answerable == "false":
        console.print(
            f"Probably nothing here answers this: {judgement.probability:.0%} likely that it does",
            style="yellow",
        )
    for hit in hits:
        where = hit.chunk.provenance
        source = printable(where.source)
        place = source if where.page is None else f"{source}:{where.page}"
        head = Text.assemble(
            (f"{hit.rank:>2}. ", "bold"), (f"{hit.score:.3f}  ", "cyan"), (place, "bold")
        )
        console.print(head, soft_wrap=True)
        if where.headings:
            console.print(
                Padding(Text(harmless(" > ".join(where.headings)), style="dim"), (0, 0, 0, 4))
            )
        passage = _passage(hit, retriever.matches(question, hit.chunk.text), full)
        console.print(Padding(passage, (0, 0, 0, 4)))
        if explain:
            console.print(Padding(_explanation(hit), (0, 0, 0, 4)))
        for label, chunks in (("before", hit.before), ("after", hit.after)):
            for chunk in chunks:
                neighbour = Text.assemble((f"{label}: ", "dim"), harmless(chunk.text))
                console.print(Padding(neighbour, (0, 0, 0, 8)))
        console.print()
    if hits[0].out_of_time:
        console.print("Reranking was cut short by its time budget.", style="yellow")
    console.print(f"{len(hits)} hits in {took_ms / 1000:.2f} s", style="dim", highlight=False)


def _passage(hit: Hit, matches: Sequence[tuple[int, int]], full: bool) -> Text:
    """The passage, or the stretch of it with the most marked words."""
    text = harmless(hit.chunk.text)
    start, end = (0, len(text)) if full else window(text, matches)
    shown = Text(text[start:end].replace("\n\n", "\n"))
    marks = [(a, b) for a, b in matches if start <= a and b <= end]
    for a, b in marks:
        # Blank lines before a mark were folded above.
        folded = text.count("\n\n", start, a)
        shown.stylize(_MARK, a - start - folded, b - start - folded)
    return Text("…" if start else "") + shown + Text("…" if end < len(text) else "")


def _explanation(hit: Hit) -> Text:
    parts = []
    for name, place in hit.legs.items():
        if place is None:
            parts.append(f"{name}: nothing")
        else:
            rank = "below its candidates" if place.rank is None else f"rank {place.rank}"
            parts.append(f"{name}: {rank}, score {place.score:.3f}")
    lines = ["; ".join(parts)]
    if hit.explanation is not None:
        lines += _explanation_lines(hit, hit.explanation)
    return Text("\n".join(lines), style="green")


def _explanation_lines(hit: Hit, explanation: Explanation) -> Iterator[str]:
    if explanation.parts:
        sums = " + ".join(
            f"{weight:.2f} x {normalised:.3f} ({name})"
            for name, (weight, normalised) in explanation.parts.items()
        )
        yield f"fused: {hit.fused:.3f} = {sums}"
    if hit.reranked is not None:
        moved = hit.reranked.moved
        way = f"{abs(moved)} places {'up' if moved > 0 else 'down'}" if moved else "no place moved"
        yield f"reranker: score {hit.reranked.score:.3f}, {way}"
    found = [term for term in explanation.terms if term.weight]
    if found:
        yield "terms: " + ", ".join(f"{harmless(t.term)} {t.score:.2f}" for t in found[:_TERMS])
    if explanation.added:
        yield "added by feedback: " + ", ".join(harmless(t) for t, _ in explanation.added[:_TERMS])
    if explanation.closest is not None:
        closest = explanation.closest
        sentence = " ".join(harmless(hit.chunk.text[closest.start : closest.end]).split())
        yield f"closest: {textwrap.shorten(sentence, 160)} ({closest.similarity:.2f})"


def print_status(state: dict[str, Any]) -> None:
    """Print settings and collections."""
    console = Console(highlight=False)
    encoder = state["encoder"]
    console.print(f"collections in  {state['place']}", soft_wrap=True, markup=False)
    console.print(f"engine          {state['engine']}")
    console.print(
        f"encoder         {encoder['name']}  (fingerprint {encoder['fingerprint'][:12]}, "
        f"reads {encoder['window']} tokens)",
        soft_wrap=True,
        markup=False,
    )
    console.print(f"runtime         {_runtime(encoder['runtime'])}", soft_wrap=True, markup=False)
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
            "-" if entry["bytes"] is None else f"{entry['bytes'] / 2**20:.1f} MB",
            _encoder_cell(entry),
        )
    console.print(table)
    for entry in state["collections"]:
        if "error" in entry:
            print(f"error: {textwrap.shorten(entry['error'], 500)}", file=sys.stderr)


def _runtime(runtime: dict[str, Any]) -> str:
    told = f"{runtime['name']}, passages in {_PRECISIONS[runtime['precision']]}, questions in fp32"
    if runtime["name"] == "openvino" and not runtime["compiled"]:
        told += "; to be compiled at the first use"
    return f"{told} ({runtime['reason']})" if runtime["reason"] else told


def _encoder_cell(entry: dict[str, Any]) -> str:
    if "encoder" not in entry:
        return "-"
    name = f"{entry['encoder']} ({entry['fingerprint'][:12]})"
    return name if entry["matches_settings"] else f"{name}, not the one in the settings"
