"""Time of a question, stage by stage, with 1,000, 10,000 and 100,000 chunks.

    .venv/bin/python -m benchmarks.query [--chunks 1000 10000 100000]

The chunks are those of examples/handbook, and copies of them with noise added to the dense vectors.
The questions are the handbook's. Every stage runs the real code. `raw engine` is one batch of the
two searches, without the work around it. Each ratio divides the time of a stage by the time of the
encoder plus the raw engine call for the same question. Times are medians of three rounds, because
they vary on a shared machine.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks.handbook import EXAMPLES, QUERIES
from twotower.app.services.ingestion import Ingestion
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.evaluation.dataset import read_dataset
from twotower.retrieval.index.card import bm25_leg
from twotower.retrieval.index.catalog import Catalog
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.legs import open_legs
from twotower.retrieval.legs.bm25 import Bm25Leg
from twotower.retrieval.search.candidates import Searcher
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.search.rerank.late_interaction import LateInteraction
from twotower.retrieval.search.retriever import Retriever
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.filters import Filter
from twotower.retrieval.vocabulary.vectors import Vectors

_NOISE = 0.03  # for each dimension: copies stay close to their original and differ from each other
_GROUP = 1000
_ROUNDS = 3
_FIRST_ID = 2**64  # far from the ids that a collection reserves

WHOLE = "whole hybrid question"
Timed = dict[str, list[float]]


def read_handbook(application: Application) -> tuple[Collection, list[Chunk], Vectors]:
    """Ingest the handbook; return its collection, chunks and dense vectors."""
    with Ingestion(application, [EXAMPLES / "handbook"], "handbook") as ingestion:
        list(ingestion.run())
    collection = application.catalog.open("handbook")
    chunks = [
        chunk for record in collection.documents() for chunk in collection.chunks_of(record.source)
    ]
    vectors = collection.vectors("dense", [chunk.id for chunk in chunks])
    return collection, chunks, np.stack([vectors[chunk.id] for chunk in chunks])


def grown(
    catalog: Catalog, original: Collection, chunks: Sequence[Chunk], dense: Vectors, size: int
) -> Collection:
    """Make a collection of ``size`` chunks."""
    card = original.card()
    collection = catalog.create(f"grown-{size}", card)
    bm25 = Bm25Leg(bm25_leg(card.bm25))
    sparse = bm25.encode_passages([chunk.encoded_text for chunk in chunks])
    rng = np.random.default_rng(0)
    for start in range(0, size, _GROUP):
        numbers = range(start, min(start + _GROUP, size))
        rows = dense[[n % len(chunks) for n in numbers]]
        rows = rows + _NOISE * rng.standard_normal(rows.shape).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        collection.write_chunks(
            [replace(chunks[n % len(chunks)], id=UUID(int=_FIRST_ID + n)) for n in numbers],
            {"dense": rows, "bm25": [sparse[n % len(chunks)] for n in numbers]},
        )
    return collection


def measure(application: Application, collection: Collection, questions: Sequence[str]) -> Timed:
    """Return the milliseconds of each stage for each question."""
    encoder = application.encoder()
    legs = open_legs(collection.card(), application.models)
    searcher = Searcher(collection, legs)
    retriever = Retriever(collection, legs)
    reranker = LateInteraction(encoder)
    options = SearchOptions()
    queries = [searcher.encode([text], [Filter()], "hybrid")[0] for text in questions]
    timed: Timed = {}
    # Whole questions first, then the two stages of the ratio in a loop of their own: the time of an
    # encoding depends on what ran before it, because that decides whether its weights are cached.
    for _ in range(_ROUNDS):
        for text in questions:
            _timed(timed, WHOLE, retriever.retrieve, text)
        for text, query in zip(questions, queries, strict=True):
            _timed(timed, "encode", encoder.encode_questions, [text])
            _timed(timed, "raw engine", collection.search, query.searches, options.candidates)
        for query in queries:
            terms = list(getattr(query.legs["bm25"].vector, "indices", ()))
            # Measured at the store: the collection caches the rarity of terms until the next write.
            _timed(timed, "rarity of new terms", collection.store.idf, "bm25", terms)
            stage = "engine, both rounds, and fusion"
            found = _timed(timed, stage, searcher.find, [query], options, options.candidates)[0]
            first = [item.id for item in found.ranking[: options.rerank_depth]]
            _timed(timed, "payload", collection.chunks, first[: options.limit])
            top = collection.chunks(first)
            reranker.scores(query.text, top)
            _timed(timed, "rerank 50, token vectors cached", reranker.scores, query.text, top)
    return timed


def _timed(timed: Timed, stage: str, call: Callable[..., Any], *arguments: object) -> Any:
    start = time.perf_counter()
    result = call(*arguments)
    timed.setdefault(stage, []).append((time.perf_counter() - start) * 1000)
    return result


def report(size: int, timed: Timed) -> None:
    """Print p50 and p95 of each stage, and its ratio to encoding plus the raw engine call."""
    base = np.array(timed["encode"]) + np.array(timed["raw engine"])
    base = np.median(base.reshape(_ROUNDS, -1), axis=0)
    print(f"\n{size:,} chunks{'p50 ms':>32}{'p95 ms':>10}{'ratio':>10}")
    for stage, times in timed.items():
        ratio = np.median(np.median(np.reshape(times, (_ROUNDS, -1)), axis=0) / base)
        middle, high = np.percentile(times, [50, 95])
        print(f"{stage:36}{middle:10.2f}{high:10.2f}{ratio:10.2f}")


def main() -> None:
    """Build the collections, measure and print."""
    parser = argparse.ArgumentParser(description="Measure the time of a question, stage by stage.")
    parser.add_argument("--chunks", type=int, nargs="+", default=[1000, 10_000, 100_000])
    sizes = parser.parse_args().chunks
    questions = list(read_dataset(QUERIES).questions.values())
    with tempfile.TemporaryDirectory() as folder:
        application = Application(load_settings({}, data_dir=Path(folder)))
        original, chunks, dense = read_handbook(application)
        print("ratio: time / (encoding + raw engine call), median over the questions")
        with original:
            for size in sizes:
                with grown(application.catalog, original, chunks, dense, size) as collection:
                    report(size, measure(application, collection, questions))


if __name__ == "__main__":
    main()
