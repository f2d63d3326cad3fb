"""The commands about versions of collections: reindex, rollback, gc, optimize."""

from typing import Annotated

import typer

from twotower.app.cli.application import load_application
from twotower.app.cli.common import (
    CollectionOption,
    JsonOption,
    command_group,
    complain,
    interrupted_gently,
    reported,
)
from twotower.app.cli.rendering.copies import end_with
from twotower.app.cli.rendering.output import print_json, waiting
from twotower.app.cli.rendering.progress import counting
from twotower.app.services import learning, versions
from twotower.retrieval.vocabulary.errors import ServiceError, TwoTowerError

ForceOption = Annotated[
    bool, typer.Option("--force", help="Build the version even if no setting differs.")
]

commands = command_group()


@commands.command()
@reported
def reindex(
    collection: CollectionOption = None,
    encoder: Annotated[
        str | None, typer.Option(help="A packaged model, a folder, or a name on the model hub.")
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build a collection again with the present settings.

    Its stored text is used, not the files. Searches continue during that time.
    """
    application = load_application(collection=collection, encoder=encoder)
    name = application.settings.collection
    with interrupted_gently() as should_stop, counting("re-indexing", as_json) as progress:
        built = versions.reindex(application, name, progress, should_stop, force=force)
    if built is None:
        if as_json:
            print_json({"name": name, "changed": False})
        else:
            print(f"'{name}' was built with the present settings: nothing to do")
        return
    if built.finished and not as_json:
        print(
            f"version {built.version} of '{name}' is live: {built.documents} documents, "
            f"{built.chunks} chunks, {built.encoded} of them encoded now"
        )
        print("`twotower rollback` makes the version before live again, `twotower gc` removes it")
        if built.forgotten_map is not None:
            print(
                f"question map {built.forgotten_map} was learned for the old encoder: "
                "run `twotower train` to learn it again"
            )
    end_with(built, as_json)


@commands.command()
@reported
def rollback(collection: CollectionOption = None) -> None:
    """Remove the newest question map, or go back a version.

    The version before is the one before the last re-indexing; another rollback goes back again.
    """
    application = load_application(collection=collection)
    name = application.settings.collection
    if removed := learning.forget_map(application, name):
        print(f"question map {removed.number} of '{name}' was removed; its version stays live")
        return
    live = application.catalog.rollback(name).live
    print(f"version {live} of '{name}' is live")


@commands.command()
@reported
def gc() -> None:
    """Remove old versions and unused compiled models.

    A compiled model is used if the settings name its model.
    """
    application = load_application()
    failed = False
    for name in application.catalog.names():
        try:
            removed = application.catalog.remove_old_versions(name)
        except TwoTowerError as error:  # the other collections are cleaned all the same
            complain(str(error))
            failed = True
            continue
        if removed:
            print(f"removed {removed} old versions of '{name}'")
    used = {model.fingerprint for model in application.models.local_models()}
    models, size = application.models.compiled.remove_others(used)
    print(f"removed {models} compiled models, {size / 1e6:.1f} MB")
    if failed:
        raise typer.Exit(ServiceError.exit_code)


@commands.command()
@reported
def optimize(collection: CollectionOption = None) -> None:
    """Build the vector index of an embedded collection.

    No other process can use the collection during that time.
    """
    application = load_application(collection=collection)
    name = application.settings.collection
    with (
        application.catalog.open(name) as opened,
        waiting("building the index", quiet=False),
    ):
        chunks, done = opened.count("chunk"), opened.optimize()
    if application.settings.qdrant_url:
        print("a Qdrant server builds its index by itself: nothing to do")
    elif done:
        print(f"'{name}': the index of {chunks} chunks is built")
    else:
        print(f"'{name}': nothing to do, comparing {chunks} chunks one by one is as fast")
