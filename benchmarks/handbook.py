"""nDCG@10 of each mode on examples/handbook, against its own labelled questions.

    .venv/bin/python benchmarks/handbook.py

A hit counts as its document, and as its page where the judgement names one; a document ranks where
its best passage does. Questions without a judgement (nothing answers them) are left out.
"""

import csv
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import get_args

import ir_measures
from ir_measures import RR, R, nDCG

from app.ingestion import Ingestion
from app.settings import load_settings
from app.wiring import Application
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


def main() -> None:
    """Ingest the handbook into a temporary collection and print a table."""
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
            print(f"{'mode':8}" + "".join(f"{name:>11}" for name in MEASURES))
            kinds = sorted({questions[id]["kind"] for id in judged})
            by_kind: dict[str, dict[str, float]] = {}
            for mode in get_args(Mode):
                run = {
                    id: ranking(retriever.retrieve(questions[id]["text"], mode, DEPTH), judged[id])
                    for id in judged
                }
                scores = ir_measures.calc_aggregate(list(MEASURES.values()), judged, run)
                print(f"{mode:8}" + "".join(f"{scores[m]:11.3f}" for m in MEASURES.values()))
                by_kind[mode] = {
                    kind: ir_measures.calc_aggregate(
                        [nDCG @ 10],
                        {id: j for id, j in judged.items() if questions[id]["kind"] == kind},
                        run,
                    )[nDCG @ 10]
                    for kind in kinds
                }
            print("\nnDCG@10 by kind of question")
            print(f"{'mode':8}" + "".join(f"{kind:>12}" for kind in kinds))
            for mode, row in by_kind.items():
                print(f"{mode:8}" + "".join(f"{row[kind]:12.3f}" for kind in kinds))


if __name__ == "__main__":
    main()
