"""nDCG@10 of each mode on examples/handbook, against its own labelled questions.

    .venv/bin/python benchmarks/handbook.py

A hit counts as its document, and as its page where the judgement names one; a document ranks where
its best passage does. Questions without a judgement (nothing answers them) are left out.
"""

import csv
import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import ir_measures
from ir_measures import RR, R, nDCG

from app.ingestion import Ingestion
from app.settings import load_settings
from app.wiring import Application
from retrieval.retriever import Retriever
from retrieval.types import Hit, Mode

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MEASURES = {"nDCG@10": nDCG @ 10, "recall@10": R @ 10, "MRR@10": RR @ 10}
DEPTH = 100  # passages; several of one document count once

Judgements = dict[str, dict[str, int]]


def read_questions(folder: Path) -> tuple[dict[str, dict[str, str]], Judgements]:
    """Read `queries.jsonl` and `qrels/test.tsv`: text and kind by id, and score by judged place."""
    questions = {}
    for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        questions[entry["_id"]] = {"text": entry["text"], "kind": entry["metadata"]["kind"]}
    judged: Judgements = defaultdict(dict)
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            judged[row["query-id"]][row["corpus-id"]] = int(row["score"])
    return questions, dict(judged)


def place(hit: Hit, judged: dict[str, int]) -> str:
    """Name a hit as the judgements do: by page where one names this page, else by document."""
    where = hit.chunk.provenance
    page = f"{where.source}#page={where.page}"
    return page if page in judged else where.source


def ranking(hits: list[Hit], judged: dict[str, int]) -> dict[str, float]:
    """Score each place by its best passage; equal scores keep the order of the hits."""
    best: dict[str, float] = {}
    for hit in hits:
        best.setdefault(place(hit, judged), 1.0 / hit.rank)
    return best


@dataclass(frozen=True)
class Evaluation:
    """One mode's mean of each measure, and nDCG@10 by kind of question."""

    overall: dict[Any, float]
    by_kind: dict[str, float]


def evaluate(
    retriever: Retriever, mode: Mode, questions: dict[str, dict[str, str]], judged: Judgements
) -> Evaluation:
    """Ask every judged question and compare with the judgements."""
    run = {
        id: ranking(retriever.retrieve(questions[id]["text"], mode, DEPTH), places)
        for id, places in judged.items()
    }
    kinds = sorted({questions[id]["kind"] for id in judged})
    of_kind = {k: {id: p for id, p in judged.items() if questions[id]["kind"] == k} for k in kinds}
    return Evaluation(
        ir_measures.calc_aggregate(list(MEASURES.values()), judged, run),
        {
            kind: ir_measures.calc_aggregate([nDCG @ 10], judgements, run)[nDCG @ 10]
            for kind, judgements in of_kind.items()
        },
    )


def main() -> None:
    """Ingest the handbook into a temporary collection and print two tables."""
    questions, judged = read_questions(EXAMPLES)
    with tempfile.TemporaryDirectory() as folder:
        application = Application(load_settings(data_dir=Path(folder), collection="handbook"))
        with Ingestion(application, [EXAMPLES / "handbook"], "handbook") as ingestion:
            for outcome in ingestion.run():
                if outcome.status == "failed":
                    print(f"failed: {outcome.source}: {outcome.reason}")
        with application.catalog.open("handbook") as collection:
            retriever = application.retriever(collection)
            print(f"{len(judged)} judged questions, {collection.count('chunk')} chunks\n")
            results = {
                mode: evaluate(retriever, mode, questions, judged) for mode in get_args(Mode)
            }
    print(f"{'mode':8}" + "".join(f"{name:>11}" for name in MEASURES))
    for mode, result in results.items():
        print(f"{mode:8}" + "".join(f"{result.overall[m]:11.3f}" for m in MEASURES.values()))
    print("\nnDCG@10 by kind of question")
    print(f"{'mode':8}" + "".join(f"{kind:>12}" for kind in next(iter(results.values())).by_kind))
    for mode, result in results.items():
        print(f"{mode:8}" + "".join(f"{score:12.3f}" for score in result.by_kind.values()))


if __name__ == "__main__":
    main()
