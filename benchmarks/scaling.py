"""What a chunk costs on disk and in memory, with each quantization: the numbers of docs/scaling.md.

    .venv/bin/python -m benchmarks.scaling [--chunks 20000] [--join 4] [--tables]

The chunks are those of examples/handbook; beyond them, copies whose dense vectors have noise added.
Each layout gets a collection of its own in the embedded engine, which lays data out as a Qdrant
server does; then its index is built. Bytes are what the files hold on disk, by what they are for.
`kept` is how many of the exact ten best hits are among the ten best found; times are to be compared
with each other only. ``--tables`` prints the worked examples of docs/scaling.md from the constants
there, without measuring.
"""

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np

from app.settings import load_settings
from app.wiring import Application
from benchmarks.handbook import QUERIES
from benchmarks.query import grown, read_handbook
from evaluation.dataset import read_dataset
from retrieval.catalog.local import LocalCatalog
from retrieval.collection import Collection
from retrieval.store.protocol import Leg, Quantization, StoreOptions
from retrieval.types import Chunk
from retrieval.vectors import Vectors

LAYOUTS: dict[Quantization, str] = {
    "none": "float32",
    "int8": "int8",
    "turbo": "TurboQuant, 4 bits",
}
PARTS = {  # what a segment's folders and files are for
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
    """What the engine's files take on disk, by what they are for; the log is left out."""
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
    """The ten best of each question by the dense leg, and the median time in ms."""
    times: list[float] = []
    best: list[set[UUID]] = []
    for _ in range(_ROUNDS):
        best = []
        for question in questions:
            start = time.perf_counter()
            (ranking,) = collection.search([Leg(question)], 100)
            times.append(time.perf_counter() - start)
            best.append({item.id for item in ranking[:10]})
    return best, float(np.median(times)) * 1000


def joined(chunks: list[Chunk], count: int) -> list[Chunk]:
    """Chunks with the text of so many that follow each other, as longer chunks would have it."""
    return [
        replace(chunk, text=" ".join(c.text for c in (chunks + chunks)[n : n + count]))
        for n, chunk in enumerate(chunks)
    ]


def measure(size: int, join: int) -> None:
    """Print one table."""
    with tempfile.TemporaryDirectory() as place:
        application = Application(load_settings({}, data_dir=place))
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
        for kind, told in LAYOUTS.items():
            catalog = LocalCatalog(Path(place) / kind, StoreOptions(quantization=kind), print)
            with grown(catalog, original, chunks, dense, size) as collection:
                if not exact:
                    exact, _ = answers(collection, questions)  # every vector is compared
                collection.optimize()
            with catalog.open(f"grown-{size}") as collection:
                found, took = answers(collection, questions)
            kept = np.mean([len(a & b) / len(b) for a, b in zip(found, exact, strict=True)])
            parts = bytes_by_part(Path(place) / kind)
            cells = [f"{parts[name] / size:.0f}" for name in columns]
            whole = f"{sum(parts.values()) / size:.0f}"
            print(f"| {told} | {' | '.join(cells)} | {whole} | {took:.1f} | {kept:.3f} |")
        original.close()


# Bytes a chunk: fixed, and for each byte of its text; fitted to the tables in docs/scaling.md.
BM25_VECTOR, PAYLOAD, PAYLOAD_INDEXES = (260, 1.2), (460, 0.8), (450, 1.3)
IDS = 31
# Links of HNSW: 2 m of 4 bytes, with m = 16, and the upper layers. Copies need fewer: 32 bytes.
GRAPH = 160
PER_DIMENSION: dict[Quantization, float] = {"none": 4.0, "int8": 1.0, "turbo": 0.5}
TEXT = 1000  # bytes of a chunk's text in the worked examples
NODE = 64 * 2**30  # bytes of memory
FILLED = 0.75  # of a node's memory: the rest is for the system, for writes and for moving shards


def memory_bytes(chunks: int, dimension: int, kind: Quantization, text: int = TEXT) -> float:
    """Memory for searches that read nothing but payloads from disk, of one copy."""
    vectors = PER_DIMENSION[kind] * dimension
    return chunks * (vectors + GRAPH + _of(BM25_VECTOR, text) + _of(PAYLOAD_INDEXES, text) + IDS)


def disk_bytes(chunks: int, dimension: int, kind: Quantization, text: int = TEXT) -> float:
    """What one copy takes on disk, the log left out."""
    originals = 0.0 if kind == "none" else 4.0 * dimension
    stored = chunks * (originals + _of(PAYLOAD, text))
    return stored + memory_bytes(chunks, dimension, kind, text)


def _of(fitted: tuple[float, float], text: int) -> float:
    return fitted[0] + fitted[1] * text


def tables() -> str:
    """The worked examples."""
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
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--join", type=int, default=1, help="Make chunks so many times as long.")
    parser.add_argument("--tables", action="store_true")
    asked = parser.parse_args()
    if asked.tables:
        print(tables())
    else:
        measure(asked.chunks, asked.join)


if __name__ == "__main__":
    main()
