"""The commands that measure: eval and tune."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar, get_args

import typer

from app.command_line import CollectionOption, JsonOption, app, load_application, reported
from retrieval.errors import ConfigurationError
from retrieval.options import Fusion, Rerank
from retrieval.types import Mode

Choice = TypeVar("Choice", bound=str)

_MODES: tuple[Mode, ...] = ("hybrid", "dense", "bm25")

FolderArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[DIR]", help="Labelled questions: queries.jsonl, qrels, corpus.jsonl."),
]

QueriesOption = Annotated[
    Path | None,
    typer.Option("--queries", help="Questions on a live collection; judgements in qrels/."),
]


@app.command(name="eval")
@reported
def evaluate(
    folder: FolderArgument = None,
    modes: Annotated[
        list[str] | None, typer.Option("--mode", help="hybrid, dense, bm25; several: compare.")
    ] = None,
    fusion: Annotated[Fusion | None, typer.Option(help="How the legs become one ranking.")] = None,
    dense_weight: Annotated[
        float | None, typer.Option("--dense-weight", help="Of the dense leg, in [0, 1].")
    ] = None,
    reranks: Annotated[
        list[str] | None,
        typer.Option("--rerank", help="late-interaction, cross-encoder: the first mode, reranked."),
    ] = None,
    feedback: Annotated[
        int | None, typer.Option("--feedback", help="So many first hits move the question.")
    ] = None,
    collection: CollectionOption = None,
    queries: QueriesOption = None,
    per_question: Annotated[
        bool, typer.Option("--per-question", help="nDCG@10 of each question.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw a chart: a .png or .svg file.")
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Learn when nothing answers; kept with the collection."),
    ] = False,
    chunking: Annotated[
        Path | None,
        typer.Option("--chunking", help="Measure chunks on labelled excerpts in this folder."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure retrieval on labelled questions."""
    from app import evaluation, render_evaluation  # noqa: PLC0415 - costs other commands their start

    compared: list[Mode] = _each(modes, get_args(Mode), "--mode") or list(_MODES)
    rerankers: list[Rerank] = _each(reranks, get_args(Rerank), "--rerank")
    application = load_application(collection=collection)
    with render_evaluation.progress(as_json) as progress:
        if chunking is not None:
            result = evaluation.run_chunking(application, chunking, progress)
            render_evaluation.print_chunking(result, as_json)
            return
        with evaluation.bench(application, folder, queries, collection, progress) as opened:
            base = application.options(
                opened.retriever.tuned,
                {"fusion": fusion, "dense_weight": dense_weight, "feedback": feedback},
            )
            if calibrate:
                asked = replace(base, rerank=rerankers[0] if rerankers else base.rerank)
                calibrated = evaluation.run_calibration(opened, asked, progress)
                render_evaluation.print_calibrated(calibrated, opened.dataset, as_json)
                return
            tried = evaluation.systems(base, compared, rerankers)
            results = evaluation.run_systems(opened, tried, progress)
            dataset = opened.dataset
    labels = [evaluation.label(options) for options in tried]
    render_evaluation.print_results(dataset, labels, results, per_question, as_json)
    if plot is not None:
        from evaluation.plot import plot as draw  # noqa: PLC0415 - as above

        draw(dataset.name, labels, results, plot)


@app.command()
@reported
def tune(
    folder: FolderArgument = None,
    reranks: Annotated[
        list[str] | None,
        typer.Option("--rerank", help="Tried, too.  [default: late-interaction]"),
    ] = None,
    collection: CollectionOption = None,
    queries: QueriesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the way to search that is best on labelled questions; keep it if the gain is real."""
    from app import evaluation, render_evaluation  # noqa: PLC0415 - costs other commands their start

    rerankers: list[Rerank] = _each(reranks or ["late-interaction"], get_args(Rerank), "--rerank")
    application = load_application(collection=collection)
    with (
        render_evaluation.progress(as_json) as progress,
        evaluation.bench(application, folder, queries, collection, progress) as opened,
    ):
        tuned = evaluation.run_tuning(opened, rerankers, progress)
        live = opened.live
        winner = tuned.winner.options
        kept = evaluation.keep_winner(opened.collection, winner) if tuned.pays else {}
    render_evaluation.print_tuned(tuned, evaluation.label(winner), kept, live, as_json)


def _each(given: list[str] | None, known: tuple[Choice, ...], option: str) -> list[Choice]:
    """Check what was given several times: typer does that for single choices only."""
    for value in given or ():
        if value not in known:
            raise ConfigurationError(f"{option} {value}: choose of {', '.join(known)}")
    return [choice for value in given or () for choice in known if choice == value]
