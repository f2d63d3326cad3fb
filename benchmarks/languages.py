"""Quality by language: the table of docs/quality.md.

    .venv/bin/python -m benchmarks.languages DIR... --english DIR [--encoder NAME] [--language NAME]

Each DIR has the same paragraphs and questions in one language, in the BEIR layout, with the same
ids; ``--english`` is the folder of the English ones. Each language is searched with its own
questions, then with the English ones. In the end one collection holds all of them, and each
question has to find the paragraph in its own language.
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.quality import opened
from twotower.app.services.evaluation import run_systems, systems
from twotower.evaluation.measure import SystemResult
from twotower.retrieval.search.options import SearchOptions

MODES = ("bm25", "dense", "hybrid")


def main() -> None:
    """Print nDCG@10 of each language."""
    parser = argparse.ArgumentParser(description="Measure the quality of search by language.")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--english", type=Path, required=True)
    parser.add_argument("--encoder", default="", help="A folder or name; default: the default.")
    parser.add_argument("--language", default="", help="Language of BM25; default: the default.")
    arguments = parser.parse_args()
    chosen = {"encoder": arguments.encoder, "language": arguments.language}
    chosen = {key: value for key, value in chosen.items() if value}
    print("| nDCG@10 | " + " | ".join(MODES) + " | English questions | | |")
    print("|---|" + "---|" * 2 * len(MODES))
    with tempfile.TemporaryDirectory() as place:
        for folder in arguments.folders:
            own = measured(folder, chosen)
            english = arguments.english / "queries.jsonl"
            asked = Path(place) / f"english-{folder.name}"
            write(asked, corpus(folder), lines(english), judgements(folder))
            print(row(folder.name, [*own, *measured(asked, chosen)]), flush=True)
        together = Path(place) / "together"
        folders = arguments.folders
        write(
            together,
            [entry for folder in folders for entry in named(folder.name, corpus(folder))],
            [e for folder in folders for e in named(folder.name, lines(folder / "queries.jsonl"))],
            [
                (f"{folder.name}-{question}", f"{folder.name}-{document}")
                for folder in folders
                for question, document in judgements(folder)
            ],
        )
        for folder, results in by_language(together, folders, chosen):
            print(row(f"{folder.name}, in one collection with all", results), flush=True)


def measured(folder: Path, chosen: dict[str, str]) -> list[float]:
    """Return nDCG@10 of each mode."""
    return [result.mean("ndcg@10") for result in searched(folder, chosen)]


def searched(folder: Path, chosen: dict[str, str]) -> list[SystemResult]:
    """Run every question of a folder in each mode."""
    with opened(folder, **chosen) as made:
        return run_systems(made, systems(SearchOptions(), MODES, ()), lambda *_: None)


def by_language(
    together: Path, folders: Sequence[Path], chosen: dict[str, str]
) -> Iterator[tuple[Path, list[float]]]:
    """Yield the folders with nDCG@10 of their questions in the collection that holds all."""
    results = searched(together, chosen)
    ids = list(results[0].questions)
    for folder in folders:
        means = []
        for result in results:
            scores = zip(ids, result.scores["ndcg@10"], strict=True)
            own = [score for id, score in scores if id.startswith(f"{folder.name}-")]
            means.append(sum(own) / len(own))
        yield folder, means


def row(name: str, figures: Sequence[float]) -> str:
    """Format a row of the table."""
    shown = [f"{figure:.3f}" for figure in figures] + [""] * (2 * len(MODES) - len(figures))
    return f"| {name} | {' | '.join(shown)} |"


def lines(file: Path) -> list[dict[str, str]]:
    """Read a file with an object in each line."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def corpus(folder: Path) -> list[dict[str, str]]:
    """Read the paragraphs of a language."""
    return lines(folder / "corpus.jsonl")


def judgements(folder: Path) -> list[tuple[str, str]]:
    """Read the pairs of a question and its paragraph."""
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8") as file:
        return [
            (entry["query-id"], entry["corpus-id"])
            for entry in csv.DictReader(file, delimiter="\t")
        ]


def named(prefix: str, entries: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Put the name of a language before the ids."""
    return [{**entry, "_id": f"{prefix}-{entry['_id']}"} for entry in entries]


def write(
    folder: Path,
    documents: Sequence[dict[str, str]],
    questions: Sequence[dict[str, str]],
    pairs: Sequence[tuple[str, str]],
) -> None:
    """Write a data set in the BEIR layout."""
    (folder / "qrels").mkdir(parents=True)
    for name, entries in (("corpus", documents), ("queries", questions)):
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    judged = "".join(f"{question}\t{document}\t1\n" for question, document in pairs)
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + judged, encoding="utf-8"
    )


if __name__ == "__main__":
    main()
