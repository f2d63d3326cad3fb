"""`twotower list`, `show` and `delete`: the documents of a collection."""

import dataclasses
from typing import Annotated

import typer

from twotower.app.cli.application import load_application
from twotower.app.cli.common import CollectionOption, JsonOption, command_group, reported
from twotower.app.cli.rendering.documents import print_chunks, print_documents
from twotower.app.cli.rendering.output import print_json
from twotower.app.services.documents import Documents

commands = command_group()


@commands.command(name="list")
@reported
def list_documents(collection: CollectionOption = None, as_json: JsonOption = False) -> None:
    """List the documents of a collection."""
    application = load_application(collection=collection)
    records = Documents(application).records(application.settings.collection)
    if as_json:
        print_json([dataclasses.asdict(record) for record in records])
    else:
        print_documents(records)


@commands.command()
@reported
def show(
    source: Annotated[str, typer.Argument(help="Name of a document, as `list` prints it.")],
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the chunks of a document."""
    application = load_application(collection=collection)
    record, chunks = Documents(application).show(application.settings.collection, source)
    if as_json:
        print_json([dataclasses.asdict(chunk) | {"id": str(chunk.id)} for chunk in chunks])
    else:
        print_chunks(record, chunks)


@commands.command()
@reported
def delete(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Names of documents, as `list` prints them."),
    ],
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete documents, and their files if they were uploaded.

    Other files are not touched: the next ingestion of their folder brings them back.
    """
    application = load_application(collection=collection)
    chunks = Documents(application).delete(application.settings.collection, sources)
    if as_json:
        print_json({"removed": sources, "chunks": chunks})
    else:
        print(f"deleted {len(sources)} documents, {chunks} chunks")
