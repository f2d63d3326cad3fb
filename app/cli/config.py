"""`twotower config`: the settings in force, and the source of each."""

from typing import Annotated

import typer

from twotower.app import settings
from twotower.app.cli.common import JsonOption, chosen_config, command_group, reported
from twotower.app.cli.rendering import config as render
from twotower.retrieval.vocabulary.errors import ConfigurationError

commands = command_group()


@commands.command()
@reported
def config(
    path: Annotated[
        bool, typer.Option("--path", help="Print only the path of the file of settings.")
    ] = False,
    example: Annotated[
        bool, typer.Option("--example", help="Print a complete twotower.toml with the defaults.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the settings in force, and where each value comes from."""
    if path + example + as_json > 1:
        raise ConfigurationError("choose one of --path, --example and --json")
    if example:
        render.print_example()
    elif path:
        file = settings.settings_file(None, chosen_config()) or settings.user_file()
        print(file.absolute())
    else:
        loaded = settings.load_with_origins(None, file=chosen_config())
        render.print_settings(loaded, as_json)
