"""What every way to search gives on labelled sets: the tables of docs/quality.md.

    .venv/bin/python -m benchmarks.quality DIR... [--exact]

Each folder is in BEIR's layout. With ``--exact``, the ways in the README's table are measured a
second time with sentence-transformers on torch in fp32, and what the product's own runtime and
precision change is printed.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.evaluation import Bench, bench, label, run_systems, systems
from app.settings import load_settings
from app.wiring import Application
from benchmarks.handbook import compared
from evaluation.measure import paired_p
from retrieval.encoder import Encoder
from retrieval.options import SearchOptions
from retrieval.retriever import Retriever
from retrieval.vectors import Vectors


class Remembering:
    """An encoder that encodes each question once for all systems: times are not measured here."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, Vectors] = {}
        self.model = encoder.model
        self.dimension = encoder.dimension
        self.encode_passages = encoder.encode_passages
        self.question_tokens = encoder.question_tokens
        self.passage_tokens = encoder.passage_tokens

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode_questions`."""
        missing = [text for text in texts if text not in self._known]
        if missing:
            self._known |= dict(zip(missing, self._encoder.encode_questions(missing), strict=True))
        return np.stack([self._known[text] for text in texts])


def tried() -> list[SearchOptions]:
    """Every way to search that the table has."""
    base = systems(SearchOptions(), ("hybrid",), ())[0]
    ways = systems(SearchOptions(), ("hybrid", "dense", "bm25"), ())
    ways += [replace(base, dense_weight=weight) for weight in (0.3, 0.4, 0.6, 0.7)]
    ways += [replace(base, fusion="minmax"), replace(base, fusion="minmax", dense_weight=0.6)]
    ways += [replace(base, fusion="rrf"), replace(base, fusion="dbsf")]
    late = replace(base, rerank="late-interaction")
    ways += [replace(late, rerank_weight=weight) for weight in (0.2, 0.4, 0.6, 1.0)]
    ways += [replace(base, feedback=5), replace(base, feedback=3)]
    ways += [replace(base, fusion="minmax", feedback=5)]
    ways += [replace(late, fusion="minmax", feedback=5, rerank_weight=0.25)]
    return ways


@contextmanager
def opened(folder: Path, **chosen: str) -> Iterator[Bench]:
    """A set in a collection of its own, with an encoder that remembers questions."""
    with tempfile.TemporaryDirectory() as place:
        application = Application(load_settings({}, data_dir=Path(place), **chosen))
        encoder = Remembering(application.encoder())
        with bench(application, folder, None, None, lambda *_: None) as made:
            retriever = Retriever(made.collection, lambda: encoder, application.reranker)
            yield replace(made, retriever=retriever)


def main() -> None:
    """Print a table for each folder."""
    parser = argparse.ArgumentParser(description="What every way to search gives.")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--exact", action="store_true")
    asked = parser.parse_args()
    for folder in asked.folders:
        with opened(folder) as made:
            chunks = made.collection.count("chunk")
            print(f"\n{made.dataset.name}: {len(made.dataset.judged)} questions, {chunks} chunks\n")
            print("| way to search | nDCG@10 | 95% | p | recall@10 | recall@100 | MRR@10 |")
            print("|---|---|---|---|---|---|---|")
            results = run_systems(made, tried(), lambda *_: None)
        for result in results:
            low, high = result.interval()
            chance = paired_p(results[0].scores["ndcg@10"], result.scores["ndcg@10"])
            figures = [f"{result.mean('ndcg@10'):.3f}", f"{low:.3f} to {high:.3f}", f"{chance:.3f}"]
            figures += [
                f"{result.mean(name):.3f}" for name in ("recall@10", "recall@100", "mrr@10")
            ]
            print(f"| {label(result.options)} | {' | '.join(figures)} |", flush=True)
        if asked.exact:
            ways = [result.options for result in results if result.options in compared()]
            with opened(folder, runtime="torch", precision="fp32") as made:
                exact = run_systems(made, ways, lambda *_: None)
            ours = {result.options: result for result in results}
            for other in exact:
                change = ours[other.options].mean("ndcg@10") - other.mean("ndcg@10")
                print(f"\n{label(other.options)}: {change:+.4f} nDCG@10 against torch in fp32")


if __name__ == "__main__":
    main()
