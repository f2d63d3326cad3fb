"""The command line: what scripts rely on is in the README's contract."""

import functools
import importlib.metadata
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from app.settings import load_settings
from app.wiring import Application
from retrieval.errors import ServiceError, TwoTowerError
from retrieval.types import Mode

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Semantic search over your own documents, with citations.",
    epilog="Exit codes: 0 done; 1 some files failed; 2 wrong usage or settings; 3 not available.",
)

Command = TypeVar("Command", bound=Callable[..., None])
CollectionOption = Annotated[
    str | None,
    typer.Option("--collection", "-c", help="The collection.  [default: documents]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")]

_BUG = 70  # sysexits.h: internal software error
_INTERRUPTED = 130


def reported(command: Command) -> Command:
    """Turn every error into one line on standard error and the right exit code."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except TwoTowerError as error:
            _complain(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _complain("stopped; what was committed stays, run the same command to go on")
            raise typer.Exit(_INTERRUPTED) from None
        except typer.Exit:
            raise
        except Exception as error:  # noqa: BLE001 - no traceback reaches a user
            _complain(f"this is a bug in twotower: {type(error).__name__}: {error}")
            raise typer.Exit(_BUG) from None

    return run  # type: ignore[return-value]


def _complain(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"twotower {importlib.metadata.version('twotower')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
@reported
def ingest(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Files and folders.", readable=False)
    ],
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring documents into a collection; what has not changed is left alone."""
    from app import render  # noqa: PLC0415 - costs other commands their start
    from app.ingestion import Ingestion  # noqa: PLC0415 - as above

    application = Application(load_settings(collection=collection))
    with render.progress(as_json) as watcher:
        ingestion = Ingestion(application, paths, application.settings.collection, watcher)
        with ingestion:
            watcher.planned(ingestion.planned)
            for outcome in ingestion.run():
                watcher.settled(outcome)
            report = ingestion.report()
    for complaint in ingestion.discovery.errors:
        _complain(complaint)
    if as_json:
        render.print_json(report.to_json())
    else:
        render.print_report(report, ingestion.discovery, application.settings.collection)
    if ingestion.discovery.errors:
        raise typer.Exit(2)
    if report.failed:
        raise typer.Exit(1)


@app.command()
@reported
def search(
    question: Annotated[str, typer.Argument(help="What you want to know, in your own words.")],
    mode: Annotated[Mode, typer.Option(help="Both legs, or one of them.")] = "hybrid",
    limit: Annotated[int, typer.Option("--limit", "-n", help="The most hits.")] = 10,
    collection: CollectionOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show each leg's rank and score.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Show whole passages.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find the passages that answer a question."""
    from app import render  # noqa: PLC0415 - costs other commands their start

    application = Application(load_settings(collection=collection))
    with application.catalog.open(application.settings.collection) as opened:
        retriever = application.retriever(opened)
        start = time.perf_counter()
        with render.waiting("searching", as_json):
            hits = retriever.retrieve(question, mode, limit)
        took_ms = (time.perf_counter() - start) * 1000
        if as_json:
            render.print_json(render.search_json(question, mode, took_ms, hits))
        else:
            render.print_hits(question, hits, took_ms, retriever, explain=explain, full=full)


@app.command()
@reported
def status(as_json: JsonOption = False) -> None:
    """Tell what is in the data directory, and which encoder is set."""
    from app import render  # noqa: PLC0415 - costs other commands their start
    from app.status import read_status  # noqa: PLC0415 - as above

    state = read_status(Application(load_settings()))
    if as_json:
        render.print_json(state)
    else:
        render.print_status(state)
    if any("error" in entry for entry in state["collections"]):
        raise typer.Exit(ServiceError.exit_code)


def main() -> None:
    """The console script."""
    app()
