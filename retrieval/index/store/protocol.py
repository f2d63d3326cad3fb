"""The protocol of a store: a vector database that takes points and returns rankings.

Implementations translate their library's errors into those of `vocabulary.errors`.
`twotower.retrieval.index.collection` gives the points their meaning.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

from twotower.retrieval.vocabulary.filters import Filter
from twotower.retrieval.vocabulary.ranking import Scored
from twotower.retrieval.vocabulary.vectors import Vector, VectorKind

Payload = Mapping[str, Any]
IndexKind = Literal["keyword", "integer", "float", "date", "phrase"]

# Payload indexes of a new collection. The keys of the documents' own metadata are indexed when they
# are first written. Each index costs 10 ms at every opening, so keys that few filters use have
# none.
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
    """The layout of a collection; it is decided when the collection is created or re-indexed.

    Attributes
    ----------
    quantization
        Compression of the dense vectors for the search; the best candidates are scored again with
        the original vectors. Multi-vectors and sparse vectors are not compressed.
    on_disk
        True to read the original dense vectors and multi-vectors from disk, False to keep them in
        memory.
    shards, replicas, write_consistency
        Numbers for a collection on a server; 0 uses the server's default.
    """

    quantization: Quantization = "none"
    on_disk: bool = False
    shards: int = 0
    replicas: int = 0
    write_consistency: int = 0


OVERSAMPLING = 2.0  # quantized candidates for each that is scored again by its original vector


@dataclass(frozen=True, slots=True)
class VectorSpec:
    """A named vector of a collection.

    Attributes
    ----------
    kind
        ``dense``: one vector, compared by cosine. ``multi``: several vectors, compared by MaxSim
        over cosines. ``sparse``: weights of terms, multiplied by the terms' inverse document
        frequency at search. ``weighted``: weights of terms as they are.
    dimension
        Length of a dense vector, or of each row of a multi-vector; ``None`` for weights of terms.
    """

    name: str
    kind: VectorKind
    dimension: int | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One stored point.

    Attributes
    ----------
    vectors
        Vectors by name: (d,) float32, (t, d) float32 or sparse. Empty for a point that no vector
        search returns.
    """

    id: UUID
    payload: Payload
    vectors: Mapping[str, Vector] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """One search of one named vector, among the points that match a filter.

    The inverse document frequency of a sparse search counts all points, whatever the filter.

    Attributes
    ----------
    among
        Search whose best points alone are scored by this one, and their number for each point that
        is wanted. It has the same filter.
    """

    name: str
    vector: Vector
    where: Filter = field(default_factory=Filter)
    among: "tuple[VectorQuery, int] | None" = None


class Store(Protocol):
    """One collection's points in one vector database.

    Every method raises `ServiceError` where the database is not available or refuses the work.
    """

    def upsert(self, points: Sequence[Point], wait: bool = True) -> None:
        """Write points durably; a point whose id exists is replaced completely.

        Parameters
        ----------
        wait
            True to return only when every reader sees the points, as a commit needs.
        """

    def overwrite_payloads(self, payloads: Mapping[UUID, Payload]) -> None:
        """Replace the payloads of points that exist; their vectors stay."""

    def delete(self, ids: Sequence[UUID]) -> None:
        """Remove points; ids that do not exist are ignored."""

    def retrieve(self, ids: Sequence[UUID]) -> dict[UUID, Payload]:
        """Read payloads; ids that do not exist are absent from the answer."""

    def vectors(self, name: str, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        """Read the vectors of one name; points without one are absent from the answer."""

    def idf(self, name: str, terms: Sequence[int]) -> dict[int, float]:
        """Read the inverse document frequency of terms in the sparse vectors of one name.

        Terms that no point has are absent from the answer.
        """

    def index(self, key: str, kind: IndexKind) -> None:
        """Make filtering and counting by a payload key fast; repeating it changes nothing."""

    def scroll(self, where: Filter) -> Iterator[tuple[UUID, Payload]]:
        """Go through all points that match, by id."""

    def search(self, queries: Sequence[VectorQuery], limit: int) -> list[list[Scored]]:
        """Run all queries in one batch: the best ``limit`` points of each, by score, then id."""

    def count(self, where: Filter) -> int:
        """Count the points that match, exactly."""

    def count_by(self, key: str, where: Filter) -> dict[str, int]:
        """Count the points that match, by the values of an indexed keyword, exactly."""

    def optimize(self) -> bool:
        """Build the index of dense vectors now where it helps; return whether it did anything."""

    def close(self) -> None:
        """Release the collection; the object cannot be used afterwards."""
