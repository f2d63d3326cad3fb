"""The command that learns: `twotower train`."""

from pathlib import Path
from typing import Annotated

import typer

from twotower.app.cli.application import load_application
from twotower.app.cli.common import CollectionOption, JsonOption, command_group, reported
from twotower.app.cli.rendering import training as render
from twotower.app.cli.rendering.evaluation import progress as shown
from twotower.app.services import learning

commands = command_group()


@commands.command()
@reported
def train(
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries",
            help="Labelled questions, with judgements in qrels/ beside.  "
            "[default: the labels made on the page]",
        ),
    ] = None,
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn from labelled questions; what was learned is kept if it pays.

    A matrix on the question's vector is learned, in seconds; the index does not change. It is
    measured on questions that it was not learned from, and kept if hybrid search gains.
    """
    application = load_application(collection=collection)
    name = application.settings.collection
    with shown(as_json) as progress:
        learned = learning.learn_map(application, name, queries, progress)
    render.print_learned(name, learned, as_json)
