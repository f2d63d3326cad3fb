"""Quality of every search configuration on labelled sets: the tables of docs/quality.md.

    .venv/bin/python -m benchmarks.quality DIR... [--exact] [--places N]

Each folder is in the BEIR layout. ``--exact`` measures the configurations of the README's table a
second time, with sentence-transformers on torch in fp32, and prints the difference that twotower's
runtime and precision make. ``--places`` is the number of decimals of the measures (3).
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.handbook import compared
from twotower.app.services.evaluation import Bench, bench, label, run_systems, systems
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.evaluation.measure import paired_p
from twotower.retrieval.legs import open_legs
from twotower.retrieval.legs.dense import DenseLeg
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.search.retriever import Retriever
from twotower.retrieval.vocabulary.vectors import Vectors


class Remembering:
    """Encoder that caches the vectors of questions: times are not measured here."""

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
    """Return the search configurations of the table."""
    base = systems(SearchOptions(), ("hybrid",), ())[0]
    ways = systems(SearchOptions(), ("hybrid", "dense", "bm25"), ())
    ways += [replace(base, weights={"dense": weight}) for weight in (0.3, 0.4, 0.6, 0.7)]
    ways += [replace(base, fusion="minmax"), replace(base, fusion="minmax", weights={"dense": 0.6})]
    ways += [replace(base, fusion="rrf"), replace(base, fusion="dbsf")]
    late = replace(base, rerank="late-interaction")
    ways += [replace(late, rerank_weight=weight) for weight in (0.2, 0.4, 0.6, 1.0)]
    ways += [replace(base, feedback=5), replace(base, feedback=3)]
    ways += [replace(base, fusion="minmax", feedback=5)]
    ways += [replace(late, fusion="minmax", feedback=5, rerank_weight=0.25)]
    return ways


@contextmanager
def opened(folder: Path, **chosen: str) -> Iterator[Bench]:
    """Open a set in a temporary collection, with an encoder that caches questions."""
    with tempfile.TemporaryDirectory() as place:
        application = Application(load_settings({}, data_dir=Path(place), **chosen))
        with bench(application, folder, None, None, lambda *_: None) as made:
            card = made.collection.card()
            encoder = Remembering(application.models.encoder(card.encoder))
            legs = open_legs(card, application.models)
            legs["dense"] = DenseLeg(legs["dense"].card, encoder)
            retriever = Retriever(
                made.collection, legs, lambda name: application.models.reranker(name, encoder)
            )
            yield replace(made, retriever=retriever)


def main() -> None:
    """Print a table for each folder."""
    parser = argparse.ArgumentParser(description="Measure the quality of search configurations.")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--places", type=int, default=3, help="Decimals of the measures.")
    arguments = parser.parse_args()
    places = arguments.places
    for folder in arguments.folders:
        with opened(folder) as made:
            chunks = made.collection.count("chunk")
            print(f"\n{made.dataset.name}: {len(made.dataset.judged)} questions, {chunks} chunks\n")
            print("| search | nDCG@10 | 95% | p | recall@10 | recall@100 | MRR@10 |")
            print("|---|---|---|---|---|---|---|")
            results = run_systems(made, tried(), lambda *_: None)
        for result in results:
            low, high = result.interval()
            chance = paired_p(results[0].scores["ndcg@10"], result.scores["ndcg@10"])
            ndcg, *others = (
                f"{result.mean(name):.{places}f}"
                for name in ("ndcg@10", "recall@10", "recall@100", "mrr@10")
            )
            interval = f"{low:.{places}f} to {high:.{places}f}"
            figures = [ndcg, interval, f"{chance:.3f}", *others]
            print(f"| {label(result.options)} | {' | '.join(figures)} |", flush=True)
        if arguments.exact:
            ways = [result.options for result in results if result.options in compared()]
            with opened(folder, runtime="torch", precision="fp32") as made:
                exact = run_systems(made, ways, lambda *_: None)
            ours = {result.options: result for result in results}
            for other in exact:
                change = ours[other.options].mean("ndcg@10") - other.mean("ndcg@10")
                print(f"\n{label(other.options)}: {change:+.4f} nDCG@10 against torch in fp32")


if __name__ == "__main__":
    main()
