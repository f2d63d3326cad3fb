"""A map of a collection: its chunks by their first two principal components."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twotower.retrieval.index.collection import Collection
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.vectors import Vectors

SAMPLE = 2000


@dataclass(frozen=True, slots=True)
class ChunkMap:
    """Chunks as points of a plane.

    Attributes
    ----------
    points
        (n, 2) float32, in the order of ``chunks``.
    explained
        Share of the vectors' variance that the plane shows, in [0, 1].
    """

    chunks: tuple[Chunk, ...]
    points: Vectors
    explained: float
    _mean: Vectors
    _axes: Vectors

    def project(self, vectors: Vectors) -> Vectors:
        """Project more vectors, (m, d), onto the same plane: (m, 2)."""
        return np.asarray((vectors - self._mean) @ self._axes, dtype=np.float32)


def draw_map(collection: Collection, size: int = SAMPLE) -> ChunkMap | None:
    """Project a sample of a collection by principal component analysis; ``None`` without chunks.

    Not UMAP: a question and its hits can be projected onto this plane without moving the rest.
    """
    vectors = collection.vectors("dense", collection.some_ids(size))
    chunks = [chunk for chunk in collection.chunks(list(vectors)) if chunk.id in vectors]
    if not chunks:
        return None
    rows = np.stack([vectors[chunk.id] for chunk in chunks])
    mean = rows.mean(axis=0)
    centred = rows - mean
    spread, axes = np.linalg.eigh(centred.T @ centred)  # ascending
    axes = axes[:, ::-1][:, :2]
    # The sign of an axis is arbitrary. Its largest entry is made positive, so that the map does not
    # change.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])
    explained = float(spread[-2:].sum() / max(spread.sum(), 1e-12))
    return ChunkMap(tuple(chunks), (centred @ axes).astype(np.float32), explained, mean, axes)


def main_sources(chunks: Sequence[Chunk], most: int) -> list[str]:
    """Return the documents with the most chunks, the largest first."""
    counts: dict[str, int] = {}
    for chunk in chunks:
        counts[chunk.provenance.source] = counts.get(chunk.provenance.source, 0) + 1
    return sorted(counts, key=lambda source: (-counts[source], source))[:most]
