"""The command that learns: `twotower train`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from twotower.app.cli.application import load_application
from twotower.app.cli.common import CollectionOption, JsonOption, command_group, reported
from twotower.app.cli.rendering import training as render
from twotower.app.cli.rendering.evaluation import progress as shown
from twotower.app.services import learning
from twotower.app.services.training_data import read_training_data
from twotower.retrieval.vocabulary.errors import ConfigurationError

commands = command_group()


@commands.command()
@reported
def train(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[question-map|data]",
            help="question-map learns; data only shows what there is to learn from.",
        ),
    ] = "question-map",
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries",
            help="Labelled questions, with judgements in qrels/ beside.  "
            "[default: the labels made on the page, and the click log]",
        ),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar=f"[{'|'.join(learning.SOURCES)}]",
            help="Source of questions where no file is named; may be given twice.  [default: both]",
        ),
    ] = None,
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn from labelled questions, and keep what pays.

    A matrix on the question's vector is learned, in seconds; the index does not change. It is
    measured on questions that it was not learned from, and kept if hybrid search gains.
    """
    _require_known("what to train", [what], ("question-map", "data"))
    _require_known("--from", sources or (), learning.SOURCES)
    application = load_application(collection=collection)
    name = application.settings.collection
    if what == "data":
        render.print_data(name, read_training_data(application, name, queries), as_json)
        return
    with shown(as_json) as progress:
        learned = learning.learn_map(
            application, name, queries, progress, sources or learning.SOURCES
        )
    render.print_learned(name, learned, as_json)


def _require_known(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    for value in given:
        if value not in known:
            raise ConfigurationError(f"{option} is '{value}': choose one of {', '.join(known)}")
