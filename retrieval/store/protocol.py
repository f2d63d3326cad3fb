"""What a vector database must do for a collection: points in, rankings out.

Implementations translate their library's errors into `retrieval.errors` and nothing else; what the
points mean is `retrieval.collection`'s business.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

from retrieval.filters import Filter
from retrieval.types import LegName, Scored, SparseVector
from retrieval.vectors import Vectors

DENSE: LegName = "dense"
BM25: LegName = "bm25"

Payload = Mapping[str, Any]
IndexKind = Literal["keyword", "integer", "float", "date", "phrase"]

# Made with the collection; a person's own metadata keys are indexed when they are first seen. Each
# one costs 10 ms at every opening, so keys that few filters name have none.
INDEXES: Mapping[str, IndexKind] = {
    "kind": "keyword",
    "source": "keyword",
    "folder": "keyword",
    "type": "keyword",
    "meta_keys": "keyword",
    "page": "integer",
    "modified": "date",
    "text": "phrase",
}


Quantization = Literal["none", "int8", "turbo"]


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How a collection is laid out; decided when it is created, or re-indexed.

    Attributes
    ----------
    quantization
        Of the dense vectors that are searched; the best candidates are scored again by the
        originals.
    on_disk
        Whether the original dense vectors are read from disk, not kept in memory.
    shards, replicas, write_consistency
        Of a server's collection; 0 is what the server does by itself.
    """

    quantization: Quantization = "none"
    on_disk: bool = False
    shards: int = 0
    replicas: int = 0
    write_consistency: int = 0


OVERSAMPLING = 2.0  # quantized candidates for each that is scored again by its original vector


@dataclass(frozen=True, slots=True)
class Point:
    """One stored point.

    Attributes
    ----------
    dense
        (d,) float32, a unit vector, or ``None`` for a point that no vector search returns.
    """

    id: UUID
    payload: Payload
    dense: Vectors | None = None
    bm25: SparseVector | None = None


@dataclass(frozen=True, slots=True)
class Leg:
    """One vector search: a dense vector of shape (d,) or a sparse one, among the points that match.

    The inverse document frequency of a sparse search counts all points, whatever the filter.
    """

    vector: Vectors | SparseVector
    where: Filter = field(default_factory=Filter)

    @property
    def name(self) -> LegName:
        """The named vector that is searched."""
        return BM25 if isinstance(self.vector, SparseVector) else DENSE


class Store(Protocol):
    """One collection's points in one vector database.

    Every method raises `ServiceError` where the database is not available or refuses the work.
    """

    def upsert(self, points: Sequence[Point], wait: bool = True) -> None:
        """Write points, durably when this returns; an id that exists is replaced whole.

        Parameters
        ----------
        wait
            Until every reader sees them: where a commit needs it.
        """

    def overwrite_payloads(self, payloads: Mapping[UUID, Payload]) -> None:
        """Replace the payloads of points that exist; their vectors stay."""

    def delete(self, ids: Sequence[UUID]) -> None:
        """Remove points; ids that do not exist are ignored."""

    def retrieve(self, ids: Sequence[UUID]) -> dict[UUID, Payload]:
        """Read payloads; ids that do not exist are absent from the answer."""

    def vectors(self, ids: Sequence[UUID]) -> dict[UUID, Vectors]:
        """Read dense vectors, (d,) float32 each; points without one are absent from the answer."""

    def term_weights(self, ids: Sequence[UUID]) -> dict[UUID, SparseVector]:
        """Read BM25 vectors; points without one are absent from the answer."""

    def idf(self, terms: Sequence[int]) -> dict[int, float]:
        """Tell the inverse document frequency of terms; those that no point has are absent."""

    def index(self, key: str, kind: IndexKind) -> None:
        """Make filtering and counting by a payload key fast; again is no harm."""

    def scroll(self, where: Filter) -> Iterator[tuple[UUID, Payload]]:
        """Go through all points that match, by id."""

    def search(self, legs: Sequence[Leg], limit: int) -> list[list[Scored]]:
        """Run all legs in one batch: for each, the best ``limit`` points, ordered by score, id."""

    def count(self, where: Filter) -> int:
        """Count the points that match, exactly."""

    def count_by(self, key: str, where: Filter) -> dict[str, int]:
        """Count the points that match, by the values of an indexed keyword, exactly."""

    def optimize(self) -> bool:
        """Build the index of dense vectors now, if it pays; whether anything was done."""

    def close(self) -> None:
        """Release the collection; the object is of no use afterwards."""
