"""The command that learns: `twotower train`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from twotower.app.cli.application import load_application
from twotower.app.cli.common import (
    INTERRUPTED,
    CollectionOption,
    JsonOption,
    command_group,
    interrupted_gently,
    reported,
)
from twotower.app.cli.rendering import training as render
from twotower.app.cli.rendering.evaluation import progress as shown
from twotower.app.services import learning
from twotower.app.services.model_training import train_model
from twotower.app.services.training_data import read_training_data
from twotower.app.wiring import Application
from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.training.recipe import Recipe, read_recipe

commands = command_group()


@commands.command()
@reported
def train(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[question-map|data|recipes|RECIPE]",
            help="question-map learns in seconds. data shows what there is to learn from, recipes "
            "lists the recipes. A RECIPE, or a file of one, trains a model.",
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
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            help="Folder of a recipe's run; the same one continues it.  "
            "[default: runs/COLLECTION-RECIPE in the data directory]",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, help="Steps of each stage, in place of the recipe's."),
    ] = None,
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn from labelled questions, and keep what pays.

    A matrix on the question's vector is learned, in seconds; the index does not change. It is
    measured on questions that it was not learned from, and kept if hybrid search gains. A recipe
    trains a model instead, which `twotower reindex` puts to use.
    """
    if what == "recipes":
        render.print_recipes(as_json)
        return
    _require_known("--from", sources or (), learning.SOURCES)
    chosen = sources or learning.SOURCES
    application = load_application(collection=collection)
    name = application.settings.collection
    if what == "data":
        render.print_data(name, read_training_data(application, name, queries), as_json)
        return
    if what != "question-map":
        _train_model(application, name, read_recipe(what, steps), queries, run, chosen, as_json)
        return
    with shown(as_json) as progress:
        learned = learning.learn_map(application, name, queries, progress, chosen)
    render.print_learned(name, learned, as_json)


def _train_model(
    application: Application,
    name: str,
    recipe: Recipe,
    queries: Path | None,
    run: Path | None,
    sources: Sequence[str],
    as_json: bool,
) -> None:
    with interrupted_gently() as should_stop, render.training(as_json) as report:
        trained = train_model(application, name, recipe, queries, run, report, should_stop, sources)
    render.print_trained(name, trained, as_json)
    if not trained.finished:
        raise typer.Exit(INTERRUPTED)


def _require_known(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    for value in given:
        if value not in known:
            raise ConfigurationError(f"{option} is '{value}': choose one of {', '.join(known)}")
