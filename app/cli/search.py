"""`twotower search` and `twotower facets`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from twotower.app.cli.application import load_application
from twotower.app.cli.common import CollectionOption, JsonOption, command_group, reported
from twotower.app.cli.rendering import hits as render
from twotower.app.cli.rendering.output import print_json, waiting
from twotower.app.cli.search_options import FilterOption, with_search_options
from twotower.app.services import exports
from twotower.app.services.clicks import Clicks
from twotower.app.services.labels import label_location
from twotower.retrieval.search.context import build_context
from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.retrieval.vocabulary.filters import parse_filters

commands = command_group()


@commands.command()
@reported
@with_search_options()
def search(
    question: Annotated[
        str,
        typer.Argument(help='Question in plain words; "exact words" in double quotes.'),
    ],
    collection: CollectionOption = None,
    filters: FilterOption = None,
    context: Annotated[
        int | None,
        typer.Option(
            "--context",
            help="Print a cited context of at most this many tokens in place of the hits.",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the reasons for the rank of each hit.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Show whole passages.")] = False,
    as_json: JsonOption = False,
    *,
    options: Mapping[str, Any],
) -> None:
    """Find the passages that answer a question."""
    if context is not None and context < 1:
        raise ConfigurationError(f"the context is {context} tokens: it must be at least 1 token")
    question = question.encode("utf-8", "replace").decode("utf-8")  # a shell's invalid bytes
    application = load_application(collection=collection)
    with application.catalog.open(application.settings.collection, short_lived=True) as opened:
        where = parse_filters(filters, opened.metadata_keys()) if filters else None
        retriever = application.retriever(opened, where=where, **options)
        with waiting("searching", as_json):
            result = retriever.retrieve(question, explain=explain)
        settings = application.settings
        clicks = Clicks(settings.data_dir, settings.collection, enabled=settings.click_log)
        clicks.record(result.question, [label_location(hit.chunk) for hit in result.hits])
        if context is not None:
            built = build_context(result.hits, context, application.token_counter(opened))
            render.print_context(built, as_json)
        elif as_json:
            print_json(exports.search_json(result))
        else:
            render.print_result(result, retriever, explain=explain, full=full)


@commands.command()
@reported
def facets(
    key: Annotated[
        str, typer.Argument(help="source, folder, type, page, or a key of your own metadata.")
    ],
    collection: CollectionOption = None,
    filters: FilterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count passages by the values of a key."""
    application = load_application(collection=collection)
    with application.catalog.open(application.settings.collection, short_lived=True) as opened:
        where = parse_filters(filters or (), opened.metadata_keys() if filters else ())
        counts = opened.facets(key, where)
    if as_json:
        print_json({"key": key, "counts": counts})
    else:
        render.print_facets(key, counts)
