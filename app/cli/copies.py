"""The commands that copy collections: migrate, backup, restore."""

from pathlib import Path
from typing import Annotated

import typer

from twotower.app.cli.application import load_application
from twotower.app.cli.common import (
    CollectionOption,
    JsonOption,
    command_group,
    interrupted_gently,
    reported,
)
from twotower.app.cli.rendering.copies import end_with
from twotower.app.cli.rendering.progress import counting
from twotower.app.services import copies
from twotower.app.wiring import user_path

commands = command_group()


@commands.command()
@reported
def migrate(
    to: Annotated[str, typer.Option("--to", help="URL of a Qdrant server, or a data directory.")],
    collection: CollectionOption = None,
    new_name: Annotated[
        str | None, typer.Option("--as", help="Name of the copy.  [default: the same]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a collection to another location; the original stays.

    The location is a Qdrant server or a data directory.
    """
    application = load_application(collection=collection)
    name = application.settings.collection
    with interrupted_gently() as should_stop, counting("copying", as_json) as progress:
        built = copies.migrate(application, name, to, new_name or name, progress, should_stop)
    if built.finished and not as_json:
        setting = "TWOTOWER_QDRANT_URL" if "://" in to else "TWOTOWER_DATA_DIR"
        print(
            f"'{built.name}' is in {to}: {built.documents} documents, {built.chunks} chunks, equal "
            f"by checksum; set {setting}={to} to use it"
        )
    end_with(built, as_json)


@commands.command()
@reported
def backup(
    file: Annotated[Path, typer.Argument(help="File to write.")],
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a collection to one file, vectors included."""
    application = load_application(collection=collection)
    with counting("backing up", as_json) as progress:
        built = copies.backup(
            application, application.settings.collection, user_path(str(file)), progress
        )
    if not as_json:
        print(f"{file}: {built.documents} documents, {built.chunks} chunks")
    end_with(built, as_json)


@commands.command()
@reported
def restore(
    file: Annotated[Path, typer.Argument(help="File that `twotower backup` wrote.")],
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup as the next version of its collection.

    `twotower rollback` makes the version before live again.
    """
    application = load_application()
    with interrupted_gently() as should_stop, counting("restoring", as_json) as progress:
        built = copies.restore(application, user_path(str(file)), collection, progress, should_stop)
    if built.finished and not as_json:
        print(
            f"version {built.version} of '{built.name}' is live: {built.documents} documents, "
            f"{built.chunks} chunks"
        )
    end_with(built, as_json)
