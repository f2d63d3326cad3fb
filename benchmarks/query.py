"""What a question costs, stage by stage, at 1,000, 10,000 and 100,000 chunks.

    .venv/bin/python -m benchmarks.query [--chunks 1000 10000 100000]

The chunks are those of examples/handbook; beyond them, copies whose dense vectors have noise added.
The questions are the handbook's. Every stage is the real code. `raw engine` is the two searches
alone, in one batch, as the engine gives them; ratios are to the model's forward pass and to that
call for the same question, medians of three rounds: this machine is shared, its times are noisy.
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

from app.ingestion import Ingestion
from app.settings import load_settings
from app.wiring import Application
from benchmarks.handbook import EXAMPLES, QUERIES
from evaluation.dataset import read_dataset
from retrieval.candidates import Searcher
from retrieval.catalog import Catalog
from retrieval.collection import Collection
from retrieval.filters import Filter
from retrieval.lexical import Bm25
from retrieval.options import SearchOptions
from retrieval.rerank.late_interaction import LateInteraction
from retrieval.retriever import Retriever
from retrieval.types import Chunk
from retrieval.vectors import Vectors

_NOISE = 0.03  # for each dimension: copies stay near their original, and differ from each other
_GROUP = 1000
_ROUNDS = 3
_FIRST_ID = 2**64  # far from the ids that a collection keeps for itself

WHOLE = "whole hybrid question"
Timed = dict[str, list[float]]


def read_handbook(application: Application) -> tuple[Collection, list[Chunk], Vectors]:
    """Ingest the handbook; its collection, chunks and dense vectors."""
    with Ingestion(application, [EXAMPLES / "handbook"], "handbook") as ingestion:
        list(ingestion.run())
    collection = application.catalog.open("handbook")
    chunks = [
        chunk for record in collection.documents() for chunk in collection.chunks_of(record.source)
    ]
    vectors = collection.dense_vectors([chunk.id for chunk in chunks])
    return collection, chunks, np.stack([vectors[chunk.id] for chunk in chunks])


def grown(
    catalog: Catalog, original: Collection, chunks: Sequence[Chunk], dense: Vectors, size: int
) -> Collection:
    """Make a collection of ``size`` chunks."""
    card = original.card()
    collection = catalog.create(f"grown-{size}", card)
    bm25 = Bm25(card.bm25)
    sparse = [bm25.encode_passage(chunk.encoded_text) for chunk in chunks]
    rng = np.random.default_rng(0)
    for start in range(0, size, _GROUP):
        numbers = range(start, min(start + _GROUP, size))
        rows = dense[[n % len(chunks) for n in numbers]]
        rows = rows + _NOISE * rng.standard_normal(rows.shape).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        collection.write_chunks(
            [replace(chunks[n % len(chunks)], id=UUID(int=_FIRST_ID + n)) for n in numbers],
            rows,
            [sparse[n % len(chunks)] for n in numbers],
        )
    return collection


def measure(application: Application, collection: Collection, questions: Sequence[str]) -> Timed:
    """Time each stage for each question, in milliseconds."""
    encoder = application.encoder()
    card = collection.card()
    bm25 = Bm25(card.bm25)
    searcher = Searcher(collection, bm25, encoder.encode_questions)
    retriever = Retriever(collection, lambda: encoder)
    reranker = LateInteraction(lambda: encoder)
    options = SearchOptions()
    asked = [searcher.ask([text], [Filter()], "hybrid")[0] for text in questions]
    timed: Timed = {}
    # Whole questions, then the two that they are compared with, each in the rhythm of its own: an
    # encoding finds its weights in the caches or not, by what ran before it.
    for _ in range(_ROUNDS):
        for text in questions:
            _timed(timed, WHOLE, retriever.retrieve, text)
        for text, one in zip(questions, asked, strict=True):
            _timed(timed, "encode", encoder.encode_questions, [text])
            _timed(timed, "raw engine", collection.search, one.legs, options.candidates)
        for one in asked:
            terms = list(one.bm25.indices) if one.bm25 else []
            # Of terms that were not asked for since the last write; the others are remembered.
            _timed(timed, "rarity of new terms", collection._store.idf, terms)  # noqa: SLF001
            stage = "engine, both rounds, and fusion"
            found = _timed(timed, stage, searcher.find, [one], options, options.candidates)[0]
            first = [item.id for item in found.ranking[: options.rerank_depth]]
            _timed(timed, "payload", collection.chunks, first[: options.limit])
            top = collection.chunks(first)
            reranker.scores(one.text, top)
            _timed(timed, "rerank 50, token vectors cached", reranker.scores, one.text, top)
    return timed


def _timed(timed: Timed, stage: str, call: Callable[..., Any], *arguments: object) -> Any:
    start = time.perf_counter()
    result = call(*arguments)
    timed.setdefault(stage, []).append((time.perf_counter() - start) * 1000)
    return result


def report(size: int, timed: Timed) -> None:
    """Print p50 and p95 of each stage, and the whole over forward pass and raw engine call."""
    base = np.array(timed["encode"]) + np.array(timed["raw engine"])
    base = np.median(base.reshape(_ROUNDS, -1), axis=0)
    print(f"\n{size:,} chunks{'p50 ms':>32}{'p95 ms':>10}{'ratio':>10}")
    for stage, times in timed.items():
        ratio = np.median(np.median(np.reshape(times, (_ROUNDS, -1)), axis=0) / base)
        middle, high = np.percentile(times, [50, 95])
        print(f"{stage:36}{middle:10.2f}{high:10.2f}{ratio:10.2f}")


def main() -> None:
    """Grow, ask and print."""
    parser = argparse.ArgumentParser(description="What a question costs, stage by stage.")
    parser.add_argument("--chunks", type=int, nargs="+", default=[1000, 10_000, 100_000])
    sizes = parser.parse_args().chunks
    questions = list(read_dataset(QUERIES).questions.values())
    with tempfile.TemporaryDirectory() as folder:
        application = Application(load_settings({}, data_dir=Path(folder)))
        original, chunks, dense = read_handbook(application)
        print("ratio: to encoding the question plus the raw engine call, median over the questions")
        with original:
            for size in sizes:
                with grown(application.catalog, original, chunks, dense, size) as collection:
                    report(size, measure(application, collection, questions))


if __name__ == "__main__":
    main()
