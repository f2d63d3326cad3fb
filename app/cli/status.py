"""`twotower status`."""

import typer

from twotower.app.cli.application import load_application
from twotower.app.cli.common import JsonOption, command_group, reported
from twotower.app.cli.rendering.output import print_json
from twotower.app.cli.rendering.status import print_status
from twotower.app.services.status import read_status
from twotower.retrieval.vocabulary.errors import ServiceError

commands = command_group()


@commands.command()
@reported
def status(as_json: JsonOption = False) -> None:
    """Show the collections, the engine and the encoder."""
    state = read_status(load_application())
    if as_json:
        print_json(state)
    else:
        print_status(state)
    if any("error" in entry for entry in state["collections"]):
        raise typer.Exit(ServiceError.exit_code)
