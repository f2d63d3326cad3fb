"""Disk and memory of a chunk with each quantization: the numbers in docs/scaling.md.

    .venv/bin/python -m benchmarks.scaling [--chunks 20000] [--join 4] [--tables]

The chunks are those of examples/handbook, and copies of them with noise added to the dense vectors.
Each layout gets its own collection in the embedded engine, which stores data as a Qdrant server
does. Then its index is built. Bytes are the sizes of the files on disk, by purpose. `kept` is the
share of the exact ten best hits that are among the ten best hits of the index. Compare the times
with each other only. ``--tables`` prints the worked examples of docs/scaling.md from the constants
in this file, without measuring.
"""

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np

from benchmarks.handbook import QUERIES
from benchmarks.query import grown, read_handbook
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.evaluation.dataset import read_dataset
from twotower.retrieval.index.catalog.local import LocalCatalog
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.store.protocol import Quantization, StoreOptions, VectorQuery
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.vectors import Vectors

LAYOUTS: dict[Quantization, str] = {
    "none": "float32",
    "int8": "int8",
    "turbo": "TurboQuant, 4 bits",
}
PARTS = {  # purpose of a segment's folders and files
    "vector_storage-dense": "vectors",
    "vector_index-dense": "graph",
    "vector_storage-bm25": "BM25",
    "vector_index-bm25": "BM25",
    "payload_storage": "payload",
    "payload_index": "payload indexes",
}
QUANTIZED = "quantized"
_ROUNDS = 3


def bytes_by_part(folder: Path) -> Counter[str]:
    """Return the bytes of the engine's files on disk by purpose, without the write-ahead log."""
    sizes: Counter[str] = Counter()
    for file in folder.rglob("*"):
        if not file.is_file() or "wal" in file.relative_to(folder).parts:
            continue
        size = file.stat().st_blocks * 512
        if QUANTIZED in file.name:
            sizes["quantized vectors"] += size
            continue
        part = next((PARTS[part] for part in file.parts if part in PARTS), "ids and versions")
        sizes[part] += size
    return sizes


def answers(collection: Collection, questions: Vectors) -> tuple[list[set[UUID]], float]:
    """Return the ten best hits of each question by the dense leg, and the median time in ms."""
    times: list[float] = []
    best: list[set[UUID]] = []
    for _ in range(_ROUNDS):
        best = []
        for question in questions:
            start = time.perf_counter()
            (ranking,) = collection.search([VectorQuery("dense", question)], 100)
            times.append(time.perf_counter() - start)
            best.append({item.id for item in ranking[:10]})
    return best, float(np.median(times)) * 1000


def joined(chunks: list[Chunk], count: int) -> list[Chunk]:
    """Return chunks with the text of ``count`` successive ones each, to simulate longer chunks."""
    return [
        replace(chunk, text=" ".join(c.text for c in (chunks + chunks)[n : n + count]))
        for n, chunk in enumerate(chunks)
    ]


def measure(size: int, join: int) -> None:
    """Measure every layout and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        application = Application(load_settings({}, data_dir=folder))
        original, chunks, dense = read_handbook(application)
        chunks = joined(chunks, join)
        text = sum(len(chunk.text.encode()) for chunk in chunks) / len(chunks)
        queries = read_dataset(QUERIES, frozenset(c.provenance.source for c in chunks)).questions
        questions = application.encoder().encode_questions(list(queries.values()))
        exact: list[set[UUID]] = []
        print(f"{size:,} chunks of {text:.0f} bytes of text, {dense.shape[1]} dimensions\n")
        columns = ["vectors", "quantized vectors", "graph", "BM25", "payload", "payload indexes",
                   "ids and versions"]  # fmt: skip
        print(f"| bytes a chunk | {' | '.join(columns)} | in all | ms | kept |")
        print("|---" * (len(columns) + 4) + "|")
        for kind, layout in LAYOUTS.items():
            catalog = LocalCatalog(Path(folder) / kind, StoreOptions(quantization=kind))
            with grown(catalog, original, chunks, dense, size) as collection:
                if not exact:
                    exact, _ = answers(
                        collection, questions
                    )  # without an index: compares every vector
                collection.optimize()
            with catalog.open(f"grown-{size}") as collection:
                indexed, duration = answers(collection, questions)
            kept = np.mean([len(a & b) / len(b) for a, b in zip(indexed, exact, strict=True)])
            parts = bytes_by_part(Path(folder) / kind)
            cells = [f"{parts[name] / size:.0f}" for name in columns]
            whole = f"{sum(parts.values()) / size:.0f}"
            print(f"| {layout} | {' | '.join(cells)} | {whole} | {duration:.1f} | {kept:.3f} |")
        original.close()


# Bytes for each chunk: a constant, and a factor for each byte of its text; fitted to the
# tables in docs/scaling.md.
BM25_VECTOR, PAYLOAD, PAYLOAD_INDEXES = (260, 1.2), (460, 0.8), (450, 1.3)
IDS = 31
# Links of HNSW: 2 m links of 4 bytes, with m = 16, and the upper layers. Copies of chunks need only
# 32 bytes.
GRAPH = 160
PER_DIMENSION: dict[Quantization, float] = {"none": 4.0, "int8": 1.0, "turbo": 0.5}
TEXT = 1000  # bytes of text of a chunk in the worked examples
NODE = 64 * 2**30  # bytes of memory
FILLED = (
    0.75  # share of a node's memory; the rest is for the system, for writes and for moving shards
)


def memory_bytes(chunks: int, dimension: int, kind: Quantization, text: int = TEXT) -> float:
    """Return the memory of one copy for searches that read only payloads from disk."""
    vectors = PER_DIMENSION[kind] * dimension
    return chunks * (vectors + GRAPH + _of(BM25_VECTOR, text) + _of(PAYLOAD_INDEXES, text) + IDS)


def disk_bytes(chunks: int, dimension: int, kind: Quantization, text: int = TEXT) -> float:
    """Return the disk space of one copy, without the write-ahead log."""
    originals = 0.0 if kind == "none" else 4.0 * dimension
    stored = chunks * (originals + _of(PAYLOAD, text))
    return stored + memory_bytes(chunks, dimension, kind, text)


def _of(fitted: tuple[float, float], text: int) -> float:
    return fitted[0] + fitted[1] * text


def tables() -> str:
    """Return the worked examples of docs/scaling.md."""
    lines = [
        "| chunks | dimension | quantization | memory | disk | nodes of 64 GiB for two copies |",
        "|---|---|---|---|---|---|",
    ]
    worked: list[tuple[int, int, Quantization]] = [
        (10**5, 384, "none"),
        (10**6, 384, "none"),
        (10**7, 384, "int8"),
        (10**8, 768, "int8"),
        (10**9, 768, "turbo"),
    ]
    for chunks, dimension, kind in worked:
        memory, disk = (f(chunks, dimension, kind) for f in (memory_bytes, disk_bytes))
        nodes = max(3, int(np.ceil(2 * memory / (FILLED * NODE))))
        shown = "one machine" if memory < FILLED * NODE / 2 else f"{nodes:,}"
        lines.append(
            f"| {chunks:,} | {dimension} | {kind} | {_size(memory)} | {_size(disk)} | {shown} |"
        )
    return "\n".join(lines)


def _size(count: float) -> str:
    return f"{count / 2**30:,.1f} GiB" if count < 2**40 else f"{count / 2**40:.1f} TiB"


def main() -> None:
    """Measure, or print the worked examples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--join", type=int, default=1, help="Number of chunks to join into one.")
    parser.add_argument("--tables", action="store_true")
    arguments = parser.parse_args()
    if arguments.tables:
        print(tables())
    else:
        measure(arguments.chunks, arguments.join)


if __name__ == "__main__":
    main()
