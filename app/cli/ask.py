"""`twotower ask`: an answer with its citations, or a conversation."""

import sys
from typing import Annotated

import typer

from twotower.app.answering.answer import Answer
from twotower.app.answering.answerer import Answerer
from twotower.app.cli.application import load_application
from twotower.app.cli.common import (
    CollectionOption,
    JsonOption,
    command_group,
    complain,
    reported,
)
from twotower.app.cli.rendering import answer as render
from twotower.app.cli.search_options import FilterOption
from twotower.retrieval.vocabulary.errors import ConfigurationError, ServiceError
from twotower.retrieval.vocabulary.filters import parse_filters

commands = command_group()


@commands.command()
@reported
def ask(
    question: Annotated[
        str | None,
        typer.Argument(help="Question to answer; without it, a conversation until Ctrl-D."),
    ] = None,
    collection: CollectionOption = None,
    filters: FilterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question from your documents, with checked citations."""
    application = load_application(collection=collection)
    with application.catalog.open(
        application.settings.collection, short_lived=question is not None
    ) as opened:
        where = parse_filters(filters, opened.metadata_keys()) if filters else None
        answerer = application.answerer(opened, where=where)
        if question is not None:
            _answer(answerer, question.encode("utf-8", "replace").decode(), [], as_json)
            return
        _converse(answerer, as_json)


def _converse(answerer: Answerer, as_json: bool) -> None:
    """Answer line after line; an error is printed, and the conversation continues."""
    history: list[Answer] = []
    while True:
        if sys.stdin.isatty():
            print("\n> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        if not line.strip():
            continue
        try:
            history.append(_answer(answerer, line.strip(), history, as_json))
        except (ServiceError, ConfigurationError) as error:
            complain(str(error))


def _answer(answerer: Answerer, question: str, history: list[Answer], as_json: bool) -> Answer:
    stream = render.Stream(quiet=as_json)
    answer = answerer.answer(question, history, on_text=stream.write)
    stream.close()
    if as_json:
        render.print_json(answer)
    else:
        render.print_sources(answer)
    return answer
