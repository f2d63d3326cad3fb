"""The commands that make, copy and remove versions of collections."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.command_line import (
    INTERRUPTED,
    CollectionOption,
    JsonOption,
    app,
    complain,
    interrupted_gently,
    load_application,
    reported,
)

if TYPE_CHECKING:
    from app.versions import Built
    from app.wiring import Application

ForceOption = Annotated[bool, typer.Option("--force", help="Build it even where nothing differs.")]


@app.command()
@reported
def reindex(
    collection: CollectionOption = None,
    encoder: Annotated[
        str | None, typer.Option(help="A packaged model, a folder, or a hub's name.")
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build a collection anew with the present settings, from its own text; searches go on."""
    from app import render, versions  # noqa: PLC0415 - costs other commands their start
    from app.render_progress import counting  # noqa: PLC0415 - as above

    application = load_application(collection=collection, encoder=encoder)
    name = application.settings.collection
    with interrupted_gently() as stopped, counting("re-indexing", as_json) as progress:
        built = versions.reindex(application, name, progress, stopped, force=force)
    if built is None:
        if as_json:
            render.print_json({"name": name, "changed": False})
        else:
            print(f"'{name}' was built with the present settings: nothing to do")
        return
    if built.finished and not as_json:
        print(
            f"version {built.version} of '{name}' is live: {built.documents} documents, "
            f"{built.chunks} chunks, {built.encoded} of them encoded now"
        )
        if encoder is not None:
            print(f"set TWOTOWER_ENCODER={encoder} from now on")
        print("`twotower rollback` goes back to the version before, `twotower gc` removes it")
    _end(built, as_json)


@app.command()
@reported
def rollback(collection: CollectionOption = None) -> None:
    """Make the version before the last re-indexing live again."""
    application = load_application(collection=collection)
    name = application.settings.collection
    versions = application.catalog.rollback(name)
    print(f"version {versions.live} of '{name}' is live")
    _tell_encoder(application, name)


@app.command()
@reported
def migrate(
    to: Annotated[str, typer.Option("--to", help="A Qdrant server's URL, or a data directory.")],
    collection: CollectionOption = None,
    new_name: Annotated[
        str | None, typer.Option("--as", help="Its name there.  [default: the same]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a collection to a Qdrant server, or back; it stays where it is as well."""
    from app import versions  # noqa: PLC0415 - costs other commands their start
    from app.render_progress import counting  # noqa: PLC0415 - as above

    application = load_application(collection=collection)
    name = application.settings.collection
    with interrupted_gently() as stopped, counting("copying", as_json) as progress:
        built = versions.migrate(application, name, to, new_name or name, progress, stopped)
    if built.finished and not as_json:
        setting = "TWOTOWER_QDRANT_URL" if "://" in to else "TWOTOWER_DATA_DIR"
        print(
            f"'{built.name}' is in {to}: {built.documents} documents, {built.chunks} chunks, the "
            f"same by checksum; set {setting}={to} to use it"
        )
    _end(built, as_json)


@app.command()
@reported
def backup(
    file: Annotated[Path, typer.Argument(help="The file to be written.")],
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a collection to one file, vectors included."""
    from app import versions  # noqa: PLC0415 - costs other commands their start
    from app.render_progress import counting  # noqa: PLC0415 - as above
    from app.wiring import user_path  # noqa: PLC0415 - as above

    application = load_application(collection=collection)
    with counting("backing up", as_json) as progress:
        built = versions.backup(
            application, application.settings.collection, user_path(str(file)), progress
        )
    if not as_json:
        print(f"{file}: {built.documents} documents, {built.chunks} chunks")
    _end(built, as_json)


@app.command()
@reported
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `twotower backup` wrote.")],
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a backup back, as its collection's next version; `rollback` undoes it."""
    from app import versions  # noqa: PLC0415 - costs other commands their start
    from app.render_progress import counting  # noqa: PLC0415 - as above
    from app.wiring import user_path  # noqa: PLC0415 - as above

    application = load_application()
    with interrupted_gently() as stopped, counting("restoring", as_json) as progress:
        built = versions.restore(application, user_path(str(file)), collection, progress, stopped)
    if built.finished and not as_json:
        print(
            f"version {built.version} of '{built.name}' is live: {built.documents} documents, "
            f"{built.chunks} chunks"
        )
        _tell_encoder(application, built.name)
    _end(built, as_json)


@app.command()
@reported
def optimize(collection: CollectionOption = None) -> None:
    """Build the index of dense vectors of an embedded collection; nothing else runs meanwhile."""
    from app import render  # noqa: PLC0415 - costs other commands their start

    application = load_application(collection=collection)
    name = application.settings.collection
    with (
        application.catalog.open(name) as opened,
        render.waiting("building the index", quiet=False),
    ):
        chunks, done = opened.count("chunk"), opened.optimize()
    if application.settings.qdrant_url:
        print("a Qdrant server does this by itself")
    elif done:
        print(f"'{name}': an index of {chunks} chunks is built")
    else:
        print(f"'{name}': nothing to do, {chunks} chunks are compared one by one as fast")


def _tell_encoder(application: "Application", name: str) -> None:
    """Say so where a collection that has just gone live wants another encoder."""
    with application.catalog.open(name, brief=True) as opened:
        encoder = opened.card().encoder
    if encoder.fingerprint != application.model().fingerprint:
        print(f"it was built with encoder {encoder.name}: set TWOTOWER_ENCODER to that")


def _end(built: "Built", as_json: bool) -> None:
    from app import render  # noqa: PLC0415 - costs other commands their start

    if as_json:
        render.print_json(dataclasses.asdict(built))
    if not built.finished:
        complain("stopped; what is done is kept, run the same command to go on")
        raise typer.Exit(INTERRUPTED)
