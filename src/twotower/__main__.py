"""The program: the commands of the command line, and `twotower ui`, which starts the web page."""

from typing import Annotated

import typer

from twotower.app.cli.common import CollectionOption, reported
from twotower.app.cli.main import app, run


@app.command()
@reported
def ui(
    port: Annotated[
        int | None, typer.Option(help="Port of the page.  [default: 8501]", min=1, max=65535)
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address without opening a browser.")
    ] = False,
    collection: CollectionOption = None,
) -> None:
    """Open the web page: search, ask, ingest documents, measure."""
    from twotower.app.cli.application import load_application  # noqa: PLC0415 - not for --help
    from twotower.ui.server import serve  # noqa: PLC0415 - loads Streamlit

    settings = load_application(collection=collection, ui_port=port).settings
    serve(settings, browser=not no_browser)


def main() -> None:
    """Run the program; the console script."""
    run()


if __name__ == "__main__":
    main()
