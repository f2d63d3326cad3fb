"""The command line: its options before the command, and its start."""

import importlib.metadata
import io
import sys
from typing import Annotated

import typer

from twotower.app.cli.common import choose_config, command_group, report_notes
from twotower.app.cli.lazy import LazyGroup

app = command_group(
    cls=LazyGroup,
    help="Semantic search over your own documents, with citations.",
    epilog="Exit codes: 0 done; 1 some files failed; 2 wrong usage or settings; 3 not available.",
)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"twotower {importlib.metadata.version('twotower')}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    config_file: Annotated[
        str | None,
        typer.Option(
            "--config", metavar="FILE", help="Read the settings from FILE, not twotower.toml."
        ),
    ] = None,
) -> None:
    del version  # its callback prints it
    choose_config(config_file)


def run() -> None:
    """Run the command in ``sys.argv``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # documents may not fit the encoding of the locale
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    report_notes()
    app()
