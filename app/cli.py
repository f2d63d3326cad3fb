"""The command line: what scripts rely on is in the README's contract."""

import dataclasses
import difflib
import io
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app import (  # noqa: F401 - they add their commands
    cli_ask,
    cli_evaluation,
    cli_models,
    cli_ui,
    cli_versions,
)
from app.command_line import (
    INTERRUPTED,
    CollectionOption,
    FilterOption,
    JsonOption,
    app,
    complain,
    interrupted_gently,
    load_application,
    reported,
)
from retrieval.errors import ConfigurationError, ServiceError
from retrieval.filters import parse_filters
from retrieval.options import Fusion, Rerank
from retrieval.types import DocumentRecord, Mode

if TYPE_CHECKING:
    from app.wiring import Application
    from retrieval.collection import Collection


def _version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata  # noqa: PLC0415 - one option needs it

        print(f"twotower {importlib.metadata.version('twotower')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
@reported
def ingest(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and folders.")],
    collection: CollectionOption = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove documents below PATH whose files are gone.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on: bring in what changes, until Ctrl-C.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring documents into a collection; what has not changed is left alone."""
    if not all(path.strip() for path in paths):
        raise ConfigurationError("a path is empty: name a file or a folder ('.' for this one)")
    from app.wiring import user_path  # noqa: PLC0415 - costs other commands their start

    application = load_application(collection=collection)
    places = [user_path(path) for path in paths]
    if dry_run:
        _print_plan(application, places, prune, as_json)
        return
    with interrupted_gently() as stopped:
        # Started before the first run, or what changes just after it would be missed.
        events = _changes(places) if watch else iter(())
        code = _sync(application, places, prune, as_json, stopped)
        if watch and not stopped():
            print("watching; Ctrl-C ends it", file=sys.stderr)
            for changes in events:
                if stopped():
                    break
                if changes:
                    _sync(application, places, prune, as_json, stopped)
        elif stopped():
            code = INTERRUPTED
    raise typer.Exit(code)


def _changes(paths: list[Path]) -> Iterator[object]:
    """Watch paths from now on: a set of changes, or an empty one, at least twice a second."""
    from watchfiles import watch  # noqa: PLC0415 - few runs need it

    existing = [path for path in paths if path.exists()]
    if not existing:
        return iter(())
    events = watch(*existing, rust_timeout=500, yield_on_timeout=True)
    next(events)  # it begins to watch when it is first asked
    return events


def _sync(
    application: "Application",
    paths: list[Path],
    prune: bool,
    as_json: bool,
    stopped: Callable[[], bool],
) -> int:
    """One run over the paths; its exit code."""
    from app import render, render_progress  # noqa: PLC0415 - costs other commands their start
    from app.ingestion import Ingestion  # noqa: PLC0415 - as above

    name = application.settings.collection
    with (
        render_progress.progress(as_json) as watcher,
        Ingestion(application, paths, name, watcher) as run,
    ):
        watcher.planned(run.plan.files)
        for outcome in run.run(prune, stopped):
            watcher.settled(outcome)
        report = run.report()
        if not stopped():
            run.build_index()
    for complaint in run.discovery.errors:
        complain(complaint)
    if as_json:
        render.print_json(report.to_json())
    elif report.outcomes or not run.discovery.errors:
        render.print_report(report, run.discovery, name)
    left = len(run.plan.files) - sum(o.status != "removed" for o in report.outcomes)
    if left:
        complain(f"stopped with {left} of {len(run.plan.files)} files left; run again to go on")
    return 2 if run.discovery.errors else int(bool(report.failed))


def _print_plan(application: "Application", paths: list[Path], prune: bool, as_json: bool) -> None:
    from app import render  # noqa: PLC0415 - costs other commands their start
    from app.ingestion import Ingestion  # noqa: PLC0415 - as above

    with Ingestion(application, paths, application.settings.collection) as run:
        steps = render.plan_steps(run.plan, prune)
        for complaint in run.discovery.errors:
            complain(complaint)
        if as_json:
            render.print_json([{"action": action, "source": source} for action, source in steps])
        else:
            render.print_plan(steps)
    if run.discovery.errors:
        raise typer.Exit(2)


@app.command(name="list")
@reported
def list_documents(collection: CollectionOption = None, as_json: JsonOption = False) -> None:
    """List the documents of a collection."""
    from app import render  # noqa: PLC0415 - costs other commands their start

    application = load_application(collection=collection)
    with application.catalog.open(application.settings.collection, brief=True) as opened:
        documents = sorted(opened.documents(), key=lambda record: record.source)
    if as_json:
        render.print_json([dataclasses.asdict(record) for record in documents])
    else:
        render.print_documents(documents)


@app.command()
@reported
def show(
    source: Annotated[str, typer.Argument(help="A document's name, as `list` prints it.")],
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a document's chunks."""
    from app import render  # noqa: PLC0415 - costs other commands their start

    application = load_application(collection=collection)
    with application.catalog.open(application.settings.collection, brief=True) as opened:
        record = _known(opened, source)
        chunks = opened.chunks_of(source)
    if as_json:
        render.print_json([dataclasses.asdict(chunk) | {"id": str(chunk.id)} for chunk in chunks])
    else:
        render.print_chunks(record, chunks)


@app.command()
@reported
def delete(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Documents, as `list` prints them.")
    ],
    collection: CollectionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove documents from a collection; their files are not touched."""
    from app import render  # noqa: PLC0415 - costs other commands their start

    application = load_application(collection=collection)
    with application.catalog.open(application.settings.collection, brief=True) as opened:
        for source in sources:
            _known(opened, source)  # all are there, or nothing is removed
        chunks = sum(opened.remove_document(source) for source in sources)
    if as_json:
        render.print_json({"removed": sources, "chunks": chunks})
    else:
        print(f"removed {len(sources)} documents, {chunks} chunks")


def _known(collection: "Collection", source: str) -> DocumentRecord:
    record = collection.document(source)
    if record is None:
        known = (document.source for document in collection.documents())
        near = difflib.get_close_matches(source, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "`twotower list` prints the names"
        raise ConfigurationError(f"no document '{source}' in '{collection.name}': {hint}")
    return record


@app.command()
@reported
def search(
    question: Annotated[
        str,
        typer.Argument(help='What you want to know, in your words; "exact words" in quotes.'),
    ],
    mode: Annotated[Mode | None, typer.Option(help="Both legs, or one of them.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="The most hits.")] = 10,
    collection: CollectionOption = None,
    filters: FilterOption = None,
    per_document: Annotated[
        int, typer.Option("--per-document", help="The most hits of one document; 0: no such limit.")
    ] = 0,
    expand: Annotated[
        int, typer.Option("--expand", help="Show so many passages before and after each hit.")
    ] = 0,
    diversity: Annotated[
        float, typer.Option("--diversity", help="From 0, the best hits, to 1, the most different.")
    ] = 0.0,
    fusion: Annotated[Fusion | None, typer.Option(help="How the legs become one ranking.")] = None,
    dense_weight: Annotated[
        float | None, typer.Option("--dense-weight", help="Of the dense leg, in [0, 1].")
    ] = None,
    depth: Annotated[
        int | None, typer.Option("--depth", help="Candidates of each leg; 0 chooses it.")
    ] = None,
    rerank: Annotated[
        Rerank | None, typer.Option(help="A second, slower look at the first hits.")
    ] = None,
    rerank_depth: Annotated[
        int | None, typer.Option("--rerank-depth", help="How many hits are reranked.")
    ] = None,
    budget_ms: Annotated[
        int | None, typer.Option("--budget-ms", help="When reranking ends; 0: never.")
    ] = None,
    feedback: Annotated[
        int | None, typer.Option("--feedback", help="So many first hits move the question.")
    ] = None,
    context: Annotated[
        int | None,
        typer.Option("--context", help="Print a cited context of at most so many tokens instead."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show why each hit stands where it does.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Show whole passages.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find the passages that answer a question."""
    from app import hits as found  # noqa: PLC0415 - costs other commands their start
    from app import render  # noqa: PLC0415 - as above

    question = question.encode("utf-8", "replace").decode("utf-8")  # a shell's invalid bytes
    application = load_application(collection=collection)
    with application.catalog.open(application.settings.collection, brief=True) as opened:
        retriever = application.retriever(
            opened,
            mode=mode,
            limit=limit,
            where=parse_filters(filters, opened.metadata_keys()) if filters else None,
            per_document=per_document,
            expand=expand,
            diversity=diversity,
            fusion=fusion,
            dense_weight=dense_weight,
            depth=depth,
            rerank=rerank,
            rerank_depth=rerank_depth,
            budget_ms=budget_ms,
            feedback=feedback,
        )
        if context is not None and context < 1:
            raise ConfigurationError(f"the context is {context} tokens: ask for at least 1")
        start = time.perf_counter()
        with render.waiting("searching", as_json):
            hits = retriever.retrieve(question, explain=explain)
        took_ms = (time.perf_counter() - start) * 1000
        if context is not None:
            from retrieval.context import build_context  # noqa: PLC0415 - as above

            built = build_context(hits, context, application.count_tokens)
            render.print_context(built, as_json)
        elif as_json:
            options = retriever.options
            render.print_json(found.search_json(question, options, took_ms, hits))
        else:
            render.print_hits(question, hits, took_ms, retriever, explain=explain, full=full)


@app.command()
@reported
def facets(
    key: Annotated[str, typer.Argument(help="source, folder, type, page, or a key of your own.")],
    collection: CollectionOption = None,
    filters: FilterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count passages by the values of a key."""
    from app import render  # noqa: PLC0415 - costs other commands their start

    application = load_application(collection=collection)
    with application.catalog.open(application.settings.collection, brief=True) as opened:
        narrowed = parse_filters(filters or (), opened.metadata_keys() if filters else ())
        counts = opened.facets(key, narrowed)
    if as_json:
        render.print_json({"key": key, "counts": counts})
    else:
        render.print_facets(key, counts)


@app.command()
@reported
def status(as_json: JsonOption = False) -> None:
    """Tell what is in the data directory, and which encoder is set."""
    from app import render  # noqa: PLC0415 - costs other commands their start
    from app.status import read_status  # noqa: PLC0415 - as above

    state = read_status(load_application())
    if as_json:
        render.print_json(state)
    else:
        render.print_status(state)
    if any("error" in entry for entry in state["collections"]):
        raise typer.Exit(ServiceError.exit_code)


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever the locale: documents know no locale
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app()
