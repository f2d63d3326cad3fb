"""`twotower encoder`: compile the encoder for this processor."""

from typing import Annotated

import typer

from twotower.app.cli.application import load_application
from twotower.app.cli.common import command_group, reported

commands = command_group()
encoder = command_group(help="Work with the encoder.")
commands.add_typer(encoder, name="encoder")


@encoder.command(name="compile")
@reported
def compile_encoder(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A packaged model, a folder, or a name on the model hub.  "
            "[default: the encoder in the settings]"
        ),
    ] = None,
) -> None:
    """Compile an encoder for this processor now.

    An encoder that is not compiled is compiled when it is first used.
    """
    application = load_application(encoder=name)
    application.models.encoder().loaded()
    choice = application.models.runtime_choice(application.model())
    if choice.manifest is not None:
        print(f"{application.settings.encoder} is compiled in {application.models.compiled.folder}")
    else:
        reason = "as set" if choice.runtime == "torch" else "the cache did not store it"
        print(f"{application.settings.encoder} runs on torch: {choice.reason or reason}")
