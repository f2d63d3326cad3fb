"""`twotower ui`: the web page."""

import importlib
from typing import Annotated

import typer

from app.command_line import CollectionOption, app, load_application, reported


@app.command()
@reported
def ui(
    port: Annotated[
        int | None, typer.Option(help="Of the page.  [default: 8501]", min=1, max=65535)
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Open no browser; print the address alone.")
    ] = False,
    collection: CollectionOption = None,
) -> None:
    """Open the web page: search, ask, bring documents in, measure."""
    settings = load_application(collection=collection, ui_port=port).settings
    # By name: the page stands above the command line, and imports it.
    importlib.import_module("ui.server").serve(settings, browser=not no_browser)
