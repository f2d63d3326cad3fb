"""Output of `twotower ingest`: the report of a run, and a plan."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from twotower.app.cli.rendering.output import printable
from twotower.ingest.discover import Discovery
from twotower.ingest.report import STATUSES, IngestReport
from twotower.ingest.sync import Plan

_GONE_SHOWN = 5  # documents
_KINDS_SHOWN = 40  # file name extensions


def print_report(report: IngestReport, discovery: Discovery, collection: str) -> None:
    """Print the numbers of a run, and each file that failed with its reason."""
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
    for outcome in report.outcomes:
        for warning in outcome.warnings:
            line = f"{printable(outcome.source)}: {printable(warning)}"
            console.print(Text.assemble(("warning ", "yellow"), line), soft_wrap=True)
    if report.gone:
        names = ", ".join(printable(source) for source in report.gone[:_GONE_SHOWN])
        left = len(report.gone) - _GONE_SHOWN
        more = f" and {left} more" if left > 0 else ""
        console.print(
            Text(f"Gone from the folder, still in the index (--prune removes them): {names}{more}"),
            soft_wrap=True,
        )
    if discovery.skipped:
        kinds = ", ".join(
            f"{n} x {suffix}" for suffix, n in discovery.skipped.most_common(_KINDS_SHOWN)
        )
        left = len(discovery.skipped) - _KINDS_SHOWN
        more = f" and {left} more kinds" if left > 0 else ""
        console.print(Text(f"Skipped, because no loader reads them: {kinds}{more}"), soft_wrap=True)


def plan_steps(plan: Plan, prune: bool) -> list[tuple[str, str]]:
    """List the actions of a run, without the files that stay as they are."""
    steps: list[tuple[str, str]] = [
        (file.action, file.source) for file in plan.files if file.action != "keep"
    ]
    if prune:
        steps += [("remove", record.source) for record in plan.gone]
    return steps


def print_plan(steps: Sequence[tuple[str, str]]) -> None:
    """Print the actions of a run, one on each line."""
    for action, source in steps:
        print(f"{action:8} {printable(source)}")
    print(f"{len(steps)} actions" if steps else "nothing to do: everything is up to date")
