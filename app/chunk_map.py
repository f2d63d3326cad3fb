"""A flat picture of a collection: chunks by their two principal components."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.collection import Collection
from retrieval.types import Chunk
from retrieval.vectors import Vectors

SAMPLE = 2000


@dataclass(frozen=True, slots=True)
class ChunkMap:
    """Chunks in the plane.

    Attributes
    ----------
    places
        (n, 2) float32, in the order of ``chunks``.
    explained
        The share of the vectors' variance that the plane shows, in [0, 1].
    """

    chunks: tuple[Chunk, ...]
    places: Vectors
    explained: float
    _mean: Vectors
    _axes: Vectors

    def place(self, vectors: Vectors) -> Vectors:
        """Put more vectors, (m, d), into the same plane: (m, 2)."""
        return np.asarray((vectors - self._mean) @ self._axes, dtype=np.float32)


def draw_map(collection: Collection, size: int = SAMPLE) -> ChunkMap | None:
    """Lay a sample of a collection out by principal component analysis; ``None`` without chunks.

    Not UMAP: a question and its hits can be put into this plane without moving the rest of it.
    """
    vectors = collection.dense_vectors(collection.some_ids(size))
    chunks = [chunk for chunk in collection.chunks(list(vectors)) if chunk.id in vectors]
    if not chunks:
        return None
    rows = np.stack([vectors[chunk.id] for chunk in chunks])
    mean = rows.mean(axis=0)
    centred = rows - mean
    spread, axes = np.linalg.eigh(centred.T @ centred)  # ascending
    axes = axes[:, ::-1][:, :2]
    # The sign of an axis is arbitrary: its largest entry points up, so that a map stays itself.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])
    explained = float(spread[-2:].sum() / max(spread.sum(), 1e-12))
    return ChunkMap(tuple(chunks), (centred @ axes).astype(np.float32), explained, mean, axes)


def main_sources(chunks: Sequence[Chunk], most: int) -> list[str]:
    """The documents with the most chunks, most first."""
    counts: dict[str, int] = {}
    for chunk in chunks:
        counts[chunk.provenance.source] = counts.get(chunk.provenance.source, 0) + 1
    return sorted(counts, key=lambda source: (-counts[source], source))[:most]
