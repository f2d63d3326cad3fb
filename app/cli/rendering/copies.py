"""The end of the commands that build or copy a version of a collection."""

import dataclasses

import typer

from twotower.app.cli.common import INTERRUPTED, complain
from twotower.app.cli.rendering.output import print_json
from twotower.app.services.copies import Built


def end_with(built: Built, as_json: bool) -> None:
    """Print the result as JSON if requested, and exit with an error if the work was stopped."""
    if as_json:
        print_json(dataclasses.asdict(built))
    if not built.finished:
        complain("stopped; finished work is kept, run the same command to continue")
        raise typer.Exit(INTERRUPTED)
