"""The commands about models: compile one for this processor, and clear away what is not used."""

from typing import Annotated

import typer

from app.command_line import app, complain, load_application, reported
from retrieval.errors import ServiceError, TwoTowerError

encoder = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Work on the encoder.")
app.add_typer(encoder, name="encoder")


@encoder.command(name="compile")
@reported
def compile_encoder(
    name: Annotated[
        str | None,
        typer.Argument(help="A packaged model, a folder, or a hub's name.  [default: as set]"),
    ] = None,
) -> None:
    """Compile an encoder for this processor now; else its first use does."""
    application = load_application(encoder=name)
    application.encoder()
    choice = application.runtime_choice()
    if choice.manifest is not None:
        print(f"{application.settings.encoder} is compiled, in {application.models.folder}")
    else:
        kept = "as set" if choice.runtime == "torch" else "the cache did not take it"
        print(f"{application.settings.encoder} runs on torch: {choice.reason or kept}")


@app.command()
@reported
def gc() -> None:
    """Remove old versions of collections, and compiled models that the settings do not name."""
    application = load_application()
    failed = False
    for name in application.catalog.names():
        try:
            versions = application.catalog.remove_old_versions(name)
        except TwoTowerError as error:  # the others are not kept waiting
            complain(str(error))
            failed = True
            continue
        if versions:
            print(f"removed {versions} old versions of '{name}'")
    used = {model.fingerprint for model in application.local_models()}
    removed, freed = application.models.remove_others(used)
    print(f"removed {removed} compiled models, {freed / 1e6:.1f} MB")
    if failed:
        raise typer.Exit(ServiceError.exit_code)
