"""`twotower ingest`: one run, a plan of it, or a run after each change of the files."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from twotower.app.cli.application import load_application
from twotower.app.cli.common import (
    INTERRUPTED,
    CollectionOption,
    JsonOption,
    command_group,
    complain,
    interrupted_gently,
    reported,
)
from twotower.app.cli.rendering import ingestion as render
from twotower.app.cli.rendering.output import print_json
from twotower.app.cli.rendering.progress import progress
from twotower.app.services.ingestion import Ingestion
from twotower.app.wiring import Application, user_path
from twotower.retrieval.vocabulary.errors import ConfigurationError

commands = command_group()


@commands.command()
@reported
def ingest(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and folders.")],
    collection: CollectionOption = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove documents below PATH whose files are gone.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan without changing anything.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Ingest files again when they change, until Ctrl-C.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring documents into a collection; unchanged files are skipped."""
    if not all(path.strip() for path in paths):
        raise ConfigurationError("a path is empty: name a file or a folder ('.' for this one)")
    application = load_application(collection=collection)
    files = [user_path(path) for path in paths]
    if dry_run:
        _print_plan(application, files, prune, as_json)
        return
    with interrupted_gently() as should_stop:
        # Watching starts before the first run: changes during the run would be missed.
        events = _changes(files) if watch else iter(())
        code = _run(application, files, prune, as_json, should_stop)
        if watch and not should_stop():
            print("watching for changes; Ctrl-C ends it", file=sys.stderr)
            for changes in events:
                if should_stop():
                    break
                if changes:
                    _run(application, files, prune, as_json, should_stop)
        elif should_stop():
            code = INTERRUPTED
    raise typer.Exit(code)


def _changes(paths: list[Path]) -> Iterator[object]:
    """Watch paths from now on: yield a set of changes, or an empty one, every half second."""
    from watchfiles import watch  # noqa: PLC0415 - loads asyncio, and few runs watch

    existing = [path for path in paths if path.exists()]
    if not existing:
        return iter(())
    events = watch(*existing, rust_timeout=500, yield_on_timeout=True)
    next(events)  # watching begins with the first request
    return events


def _run(
    application: Application,
    paths: list[Path],
    prune: bool,
    as_json: bool,
    should_stop: Callable[[], bool],
) -> int:
    """Ingest once; return the exit code."""
    name = application.settings.collection
    with (
        progress(as_json) as observer,
        Ingestion(application, paths, name, observer) as run,
    ):
        observer.planned(run.plan.files)
        for outcome in run.run(prune, should_stop):
            observer.settled(outcome)
        report = run.report()
        if not should_stop():
            run.build_index()
    for error in run.discovery.errors:
        complain(error)
    if as_json:
        print_json(report.to_json())
    elif report.outcomes or not run.discovery.errors:
        render.print_report(report, run.discovery, name)
    left = len(run.plan.files) - sum(o.status != "removed" for o in report.outcomes)
    if left:
        complain(f"stopped with {left} of {len(run.plan.files)} files left; run again to continue")
    return 2 if run.discovery.errors else int(bool(report.failed))


def _print_plan(application: Application, paths: list[Path], prune: bool, as_json: bool) -> None:
    with Ingestion(application, paths, application.settings.collection) as run:
        steps = render.plan_steps(run.plan, prune)
        for error in run.discovery.errors:
            complain(error)
        if as_json:
            print_json([{"action": action, "source": source} for action, source in steps])
        else:
            render.print_plan(steps)
    if run.discovery.errors:
        raise typer.Exit(2)
