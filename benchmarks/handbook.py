"""nDCG@10 of each way to search on examples/handbook, against its own labelled questions.

    .venv/bin/python -m benchmarks.handbook

A hit counts as its document, and as its page where the judgement names one; a document ranks where
its best passage does. Questions without a judgement (nothing answers them) are left out.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app.evaluation import bench, label, run_calibration, run_systems, systems
from app.ingestion import Ingestion
from app.settings import load_settings
from app.wiring import Application
from evaluation.measure import MEASURES, SystemResult
from retrieval.options import SearchOptions

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
QUERIES = EXAMPLES / "queries.jsonl"


def kinds() -> dict[str, str]:
    """The kind of each question: what makes it hard."""
    entries = map(json.loads, QUERIES.read_text(encoding="utf-8").splitlines())
    return {entry["_id"]: entry["metadata"]["kind"] for entry in entries}


def by_kind(result: SystemResult) -> dict[str, float]:
    """Mean nDCG@10 of each kind of question."""
    of = kinds()
    scores: dict[str, list[float]] = {}
    for id, score in zip(result.questions, result.scores["ndcg@10"], strict=True):
        scores.setdefault(of[id], []).append(float(score))
    return {kind: sum(values) / len(values) for kind, values in sorted(scores.items())}


def compared() -> list[SearchOptions]:
    """What the README's table has: each mode, and the default with late interaction."""
    return systems(SearchOptions(), ("hybrid", "dense", "bm25"), ("late-interaction",))


def print_table(rows: Sequence[tuple[str, dict[str, float]]]) -> None:
    """Print rows of figures under their names."""
    print(f"{'':30}" + "".join(f"{name:>13}" for name in rows[0][1]))
    for name, figures in rows:
        print(f"{name:30}" + "".join(f"{figure:13.3f}" for figure in figures.values()))


def main() -> None:
    """Ingest the handbook into a temporary collection and print the tables."""
    with tempfile.TemporaryDirectory() as folder:
        application = Application(load_settings(data_dir=Path(folder), collection="handbook"))
        with Ingestion(application, [EXAMPLES / "handbook"], "handbook") as ingestion:
            for outcome in ingestion.run():
                if outcome.status == "failed":
                    print(f"failed: {outcome.source}: {outcome.reason}")
        with bench(application, None, QUERIES, None, lambda *_: None) as opened:
            count = opened.collection.count("chunk")
            print(f"{len(opened.dataset.judged)} judged questions, {count} chunks\n")
            results = run_systems(opened, compared(), lambda *_: None)
            calibrated = run_calibration(opened, replace(compared()[0]), lambda *_: None)
    names = [label(result.options) for result in results]
    means = [{measure: result.mean(measure) for measure in MEASURES} for result in results]
    print_table(list(zip(names, means, strict=True)))
    print("\nnDCG@10 by kind of question")
    print_table([(name, by_kind(result)) for name, result in zip(names, results, strict=True)])
    print(
        f"\nabstention, ROC AUC by cross-validation: {calibrated.auc_unanswerable:.3f} against the "
        f"questions that nothing answers, {calibrated.auc_hidden:.3f} against questions whose "
        "documents were hidden"
    )


if __name__ == "__main__":
    main()
