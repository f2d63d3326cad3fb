"""`twotower ask`: an answer with its citations, or a conversation."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.command_line import (
    CollectionOption,
    FilterOption,
    JsonOption,
    app,
    complain,
    load_application,
    reported,
)
from retrieval.errors import ConfigurationError, ServiceError
from retrieval.filters import parse_filters

if TYPE_CHECKING:
    from app.answer import Answer, Answerer


@app.command()
@reported
def ask(
    question: Annotated[
        str | None,
        typer.Argument(help="What you want to know; without it, a conversation until Ctrl-D."),
    ] = None,
    collection: CollectionOption = None,
    filters: FilterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question from your documents, with citations that were checked."""
    application = load_application(collection=collection)
    with application.catalog.open(
        application.settings.collection, brief=question is not None
    ) as opened:
        where = parse_filters(filters, opened.metadata_keys()) if filters else None
        answerer = application.answerer(opened, where=where)
        if question is not None:
            _answered(answerer, question.encode("utf-8", "replace").decode(), [], as_json)
            return
        _talk(answerer, as_json)


def _talk(answerer: "Answerer", as_json: bool) -> None:
    """Answer line after line; one that fails is told, and the conversation goes on."""
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
            history.append(_answered(answerer, line.strip(), history, as_json))
        except (ServiceError, ConfigurationError) as error:
            complain(str(error))


def _answered(
    answerer: "Answerer", question: str, history: "list[Answer]", as_json: bool
) -> "Answer":
    from app import render_answer  # noqa: PLC0415 - costs other commands their start

    printed = render_answer.Stream(quiet=as_json)
    answer = answerer.answer(question, history, told=printed.write)
    printed.close()
    if as_json:
        render_answer.print_json(answer)
    else:
        render_answer.print_sources(answer)
    return answer
