"""The commands that measure: `twotower eval` and `twotower tune`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from twotower.app.cli.application import load_application
from twotower.app.cli.common import CollectionOption, JsonOption, command_group, reported
from twotower.app.cli.rendering import evaluation as render
from twotower.app.cli.search_options import choices, with_search_options
from twotower.app.services import evaluation
from twotower.evaluation.plot import plot as draw
from twotower.retrieval.search.options import HYBRID, OPTIONS
from twotower.retrieval.vocabulary.errors import ConfigurationError

# Search options that the measurement itself sets, or that do not change what it measures.
NOT_MEASURED = ("mode", "rerank", "limit", "expand")

FolderArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DIR]", help="Labelled questions: queries.jsonl, qrels/, and corpus.jsonl."
    ),
]

QueriesOption = Annotated[
    Path | None,
    typer.Option(
        "--queries", help="Questions on an existing collection, with judgements in qrels/ beside."
    ),
]

ModesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--mode",
        metavar=f"[{'|'.join(OPTIONS['mode'].choices)}]",
        help="Mode to measure; several are compared.  [default: all]",
    ),
]

RerankersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--rerank",
        metavar=f"[{'|'.join(OPTIONS['rerank'].choices)}]",
        help="Reranker to measure on top of the first mode; several are compared.",
    ),
]

commands = command_group()


@commands.command(name="eval")
@reported
@with_search_options(without=NOT_MEASURED)
def evaluate(
    folder: FolderArgument = None,
    modes: ModesOption = None,
    reranks: RerankersOption = None,
    collection: CollectionOption = None,
    queries: QueriesOption = None,
    per_question: Annotated[
        bool, typer.Option("--per-question", help="Print nDCG@10 of each question.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw a chart to this .png or .svg file.")
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Learn when no passage answers a question; kept with the collection.",
        ),
    ] = False,
    chunking: Annotated[
        Path | None,
        typer.Option("--chunking", help="Measure chunks on labelled excerpts in this folder."),
    ] = None,
    as_json: JsonOption = False,
    *,
    options: Mapping[str, Any],
) -> None:
    """Measure retrieval on labelled questions."""
    modes = choices(modes, "mode")
    rerankers = choices(reranks, "rerank")
    application = load_application(collection=collection)
    with render.progress(as_json) as progress:
        if chunking is not None:
            result = evaluation.run_chunking(application, chunking, progress)
            render.print_chunking(result, as_json)
            return
        _require_one_data_set(folder, queries)
        with evaluation.bench(application, folder, queries, collection, progress) as bench:
            base = application.options(bench.retriever.card.search, options)
            if calibrate:
                base = replace(base, rerank=rerankers[0] if rerankers else base.rerank)
                calibrated = evaluation.run_calibration(bench, base, progress)
                render.print_calibrated(calibrated, bench.dataset, as_json)
                return
            every = modes or [HYBRID, *(leg.name for leg in bench.retriever.card.legs)]
            compared = evaluation.systems(base, every, rerankers)
            results = evaluation.run_systems(bench, compared, progress)
    labels = [evaluation.label(options) for options in compared]
    render.print_results(bench.dataset, labels, results, per_question, as_json)
    if plot is not None:
        draw(bench.dataset.name, labels, results, plot)


@commands.command()
@reported
def tune(
    folder: FolderArgument = None,
    reranks: Annotated[
        list[str] | None,
        typer.Option(
            "--rerank",
            metavar=f"[{'|'.join(OPTIONS['rerank'].choices)}]",
            help="Reranker to try as well; may be given several times.  "
            "[default: late-interaction]",
        ),
    ] = None,
    collection: CollectionOption = None,
    queries: QueriesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the best search options on labelled questions.

    They are kept with the collection if the gain is significant.
    """
    rerankers = choices(reranks or ["late-interaction"], "rerank")
    _require_one_data_set(folder, queries)
    application = load_application(collection=collection)
    with (
        render.progress(as_json) as progress,
        evaluation.bench(application, folder, queries, collection, progress) as bench,
    ):
        tuned = evaluation.run_tuning(bench, rerankers, progress)
        live = bench.live
        winner = tuned.winner.options
        kept = evaluation.keep_winner(bench.collection, winner) if tuned.is_significant else {}
    render.print_tuned(tuned, evaluation.label(winner), kept, live, as_json)


def _require_one_data_set(folder: Path | None, queries: Path | None) -> None:
    if (folder is None) == (queries is None):
        raise ConfigurationError(
            "choose one data set: either DIR with corpus.jsonl, queries.jsonl and qrels, or "
            "--queries FILE with questions on an existing collection"
        )
