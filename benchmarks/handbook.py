"""Quality of each search mode on examples/handbook, with its own labelled questions.

    .venv/bin/python -m benchmarks.handbook

A hit counts as its document, or as its page where the relevance judgement names a page. The rank of
a document is the rank of its best passage. Questions without a judgement (nothing answers them) are
left out.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from twotower.app.services.evaluation import bench, label, run_calibration, run_systems, systems
from twotower.app.services.ingestion import Ingestion
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.evaluation.measure import MEASURES, SystemResult
from twotower.retrieval.search.options import SearchOptions

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
QUERIES = EXAMPLES / "queries.jsonl"


def kinds() -> dict[str, str]:
    """Return the kind of each question by its id: `identifier`, `paraphrase` and so on."""
    entries = map(json.loads, QUERIES.read_text(encoding="utf-8").splitlines())
    return {entry["_id"]: entry["metadata"]["kind"] for entry in entries}


def by_kind(result: SystemResult) -> dict[str, float]:
    """Return the mean nDCG@10 of each kind of question."""
    kind_of = kinds()
    scores: dict[str, list[float]] = {}
    for id, score in zip(result.questions, result.scores["ndcg@10"], strict=True):
        scores.setdefault(kind_of[id], []).append(float(score))
    return {kind: sum(values) / len(values) for kind, values in sorted(scores.items())}


def compared() -> list[SearchOptions]:
    """Return the README's configurations: each mode, and hybrid with late interaction."""
    return systems(SearchOptions(), ("hybrid", "dense", "bm25"), ("late-interaction",))


def print_table(rows: Sequence[tuple[str, dict[str, float]]]) -> None:
    """Print rows of figures, with the names of the figures above."""
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
        "\nabstention, ROC AUC by cross-validation between the answerable questions and"
        f"\n- the questions that nothing answers: {calibrated.auc_unanswerable:.3f}"
        f"\n- the same questions with their documents hidden: {calibrated.auc_hidden:.3f}"
    )


if __name__ == "__main__":
    main()
