"""Output of `twotower eval` and `tune`: tables for people, one JSON object for scripts."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from twotower.app.cli.rendering.output import harmless, print_json
from twotower.app.services.evaluation import Progress as Report
from twotower.evaluation.calibrate import Calibrated
from twotower.evaluation.dataset import Dataset
from twotower.evaluation.measure import MEASURES, SystemResult, paired_p, to_json
from twotower.evaluation.tune import Tuned


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator[Report]:
    """Show the present step on a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _what, _count, _total: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def report(what: str, count: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total or None)
            bar.advance(tasks[what], count)

        yield report


def print_results(
    dataset: Dataset,
    labels: Sequence[str],
    results: Sequence[SystemResult],
    per_question: bool,
    as_json: bool,
) -> None:
    """Print the measures of each system."""
    if as_json:
        shown = to_json(dataset, results)
        if per_question:
            shown["per_question"] = _per_question(dataset, labels, results)
        print_json(shown)
        return
    console = Console(highlight=False)
    _print_unknown(console, dataset)
    table = Table(
        title=f"{dataset.name}: {len(dataset.judged)} questions",
        title_justify="left",
        padding=(0, 0, 0, 1),
    )
    table.add_column("", overflow="fold")
    for name in ("nDCG@10", "95%", "p", "R@10", "R@100", "MRR@10", "p50", "p95"):
        table.add_column(name, justify="right", no_wrap=True)
    for label, result in zip(labels, results, strict=True):
        low, high = result.interval()
        first = result is results[0]
        chance = paired_p(results[0].scores["ndcg@10"], result.scores["ndcg@10"])
        table.add_row(
            label,
            f"{result.mean('ndcg@10'):.3f}",
            f"{low:.2f}-{high:.2f}",
            "" if first else f"{chance:.3f}",
            *(f"{result.mean(name):.3f}" for name in MEASURES[1:]),
            f"{result.percentile(50):.1f}",
            f"{result.percentile(95):.1f}",
        )
    console.print(table)
    console.print(
        "p: probability of such a difference to the first row by chance (paired randomisation). "
        "p50, p95: milliseconds for 100 hits.",
        style="dim",
    )
    if per_question:
        console.print(_question_table(dataset, labels, results))


def _print_unknown(console: Console, dataset: Dataset) -> None:
    if dataset.unknown_questions or dataset.unknown_documents:
        console.print(
            f"Skipped: {dataset.unknown_questions} judgements of unknown questions and "
            f"{dataset.unknown_documents} of unknown documents.",
            style="yellow",
        )
    if dataset.unanswerable:
        console.print(f"{len(dataset.unanswerable)} questions have no answer and are not scored.")


def _per_question(
    dataset: Dataset, labels: Sequence[str], results: Sequence[SystemResult]
) -> list[dict[str, Any]]:
    return [
        {
            "id": id,
            "question": dataset.questions[id],
            "ndcg@10": {
                label: round(float(result.scores["ndcg@10"][n]), 4)
                for label, result in zip(labels, results, strict=True)
            },
        }
        for n, id in enumerate(results[0].questions)
    ]


def _question_table(
    dataset: Dataset, labels: Sequence[str], results: Sequence[SystemResult]
) -> Table:
    table = Table(title="nDCG@10 by question", title_justify="left")
    table.add_column("question", overflow="fold")
    for label in labels:
        table.add_column(label, justify="right")
    for entry in _per_question(dataset, labels, results):
        scores = (f"{score:.3f}" for score in entry["ndcg@10"].values())
        table.add_row(Text(harmless(f"{entry['id']}  {entry['question']}")), *scores)
    return table


def print_tuned(
    tuned: Tuned, label: str, kept: Mapping[str, object], live: bool, as_json: bool
) -> None:
    """Print the result of tuning, and whether it was kept."""
    written = bool(kept) and live
    if as_json:
        print_json(
            {
                "default": round(tuned.default_score, 4),
                "held_out": round(tuned.held_out_score, 4),
                "p": round(tuned.p, 4),
                "winner": label,
                "significant": tuned.is_significant,
                "written": dict(kept) if written else {},
            }
        )
        return
    print(f"the default                      nDCG@10 {tuned.default_score:.3f}")
    print(f"chosen on the other questions    nDCG@10 {tuned.held_out_score:.3f}  (p {tuned.p:.3f})")
    if not tuned.is_significant:
        print("The default stays: nothing else is better on questions that were held out.")
    elif written:
        print(f"Best on all: {label}. Kept with the collection: searches use it from now on.")
    else:
        print(
            f"Best on all: {label}. Put it into the settings, or tune an existing collection "
            "(--collection, --queries)."
        )


def print_calibrated(calibrated: Calibrated, dataset: Dataset, as_json: bool) -> None:
    """Print how well answered and unanswered questions are distinguished."""
    unanswerable = calibrated.auc_unanswerable
    if as_json:
        print_json(
            {
                "questions": calibrated.calibration.questions,
                "unanswerable": len(dataset.unanswerable),
                "auc_hidden": round(calibrated.auc_hidden, 4),
                "auc_unanswerable": None if unanswerable is None else round(unanswerable, 4),
                "weights": dict(calibrated.calibration.weights),
                "bias": calibrated.calibration.bias,
            }
        )
        return
    print(
        f"calibrated on {calibrated.calibration.questions} questions; ROC AUC by cross-validation:"
    )
    print(f"  with the answering documents hidden   {calibrated.auc_hidden:.3f}")
    if unanswerable is not None:
        count = len(dataset.unanswerable)
        print(f"  {count:3} questions without an answer       {unanswerable:.3f}")


def print_chunking(result: Mapping[str, float | int], as_json: bool) -> None:
    """Print how well chunks cover labelled excerpts."""
    if as_json:
        print_json({name: round(value, 4) for name, value in result.items()})
        return
    print(f"{result['questions']} questions, {result['chunks']} chunks, 5 retrieved for each")
    for name in ("recall", "precision", "iou"):
        print(f"  {name:10} {result[name]:.3f}")
