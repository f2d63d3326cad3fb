"""The classes of a Qdrant library, and the conversions that need nothing else.

The embedded engine and qdrant-client have the same concepts under different names. A `Dialect`
holds one library's classes, so that each conversion is written once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from twotower.retrieval.index.store.protocol import (
    IndexKind,
    Point,
    Quantization,
    StoreOptions,
    VectorQuery,
    VectorSpec,
)
from twotower.retrieval.vocabulary.filters import Condition, Filter
from twotower.retrieval.vocabulary.vectors import SparseVector, Vector, require_finite


@dataclass(frozen=True, slots=True)
class FilterClasses:
    """One library's classes for filters."""

    filter: Callable[..., Any]
    field: Callable[..., Any]
    value: Callable[..., Any]
    prefix: Callable[..., Any]
    phrase: Callable[..., Any]
    numbers: Callable[..., Any]
    dates: Callable[..., Any]
    ids: Callable[[list[UUID]], Any]

    def translate(self, where: Filter) -> Any:
        """Convert a filter."""
        conditions = [(self._condition(c), c.negated) for c in where.conditions]
        must = [condition for condition, negated in conditions if not negated]
        if where.ids is not None:
            must.append(self.ids(list(where.ids)))
        return self.filter(must=must, must_not=[c for c, negated in conditions if negated])

    def _condition(self, condition: Condition) -> Any:
        key = condition.key
        alternatives = [self.field(key=key, match=self.value(value=v)) for v in condition.values]
        alternatives += [
            self.field(key=key, match=self.prefix(prefix=prefix)) for prefix in condition.prefixes
        ]
        if condition.range:
            dates = isinstance(condition.range[0][1], str)
            bounds = (self.dates if dates else self.numbers)(**dict(condition.range))
            alternatives.append(self.field(key=key, range=bounds))
        if condition.phrase:
            alternatives.append(self.field(key=key, match=self.phrase(phrase=condition.phrase)))
        return alternatives[0] if len(alternatives) == 1 else self.filter(should=alternatives)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One library's classes.

    Attributes
    ----------
    query
        Function from a vector, the name of the searched vector and further arguments to a query.
    point
        Function from id, vectors and payload to a point.
    dense
        Parameters of a dense vector or a multi-vector.
    sparse
        Parameters of a sparse vector, with or without the inverse document frequency.
    prefetch
        Function from a vector, the name of the searched vector, a limit and a filter to a search
        whose points another one scores.
    max_sim
        Configuration that makes a vector a multi-vector, compared by MaxSim.
    quantizations, indexes
        Configurations of the kinds of quantization, and of payload indexes.
    """

    filters: FilterClasses
    sparse_vector: Callable[..., Any]
    query: Callable[..., Any]
    prefetch: Callable[..., Any]
    point: Callable[[UUID, dict[str, Any], dict[str, Any]], Any]
    dense: Callable[..., Any]
    sparse: Callable[[bool], Any]
    max_sim: Any
    quantizations: Mapping[Quantization, Any]
    indexes: Mapping[IndexKind, Any]

    def dense_vectors(self, specs: Sequence[VectorSpec], options: StoreOptions) -> dict[str, Any]:
        """Parameters of the dense vectors and multi-vectors of a new collection, by name."""
        return {
            spec.name: self.dense(
                size=spec.dimension or 0,
                multivector_config=self.max_sim if spec.kind == "multi" else None,
                quantization_config=(
                    self.quantizations[options.quantization] if spec.kind == "dense" else None
                ),
                on_disk=options.on_disk,
            )
            for spec in specs
            if spec.kind in ("dense", "multi")
        }

    def sparse_vectors(self, specs: Sequence[VectorSpec]) -> dict[str, Any]:
        """Parameters of the sparse vectors of a new collection, by name."""
        return {
            spec.name: self.sparse(spec.kind == "sparse")
            for spec in specs
            if spec.kind in ("sparse", "weighted")
        }

    def points(self, points: Iterable[Point]) -> list[Any]:
        """Convert points.

        Raises
        ------
        ValueError
            If a vector has a value that is not finite.
        """
        return [
            self.point(
                point.id,
                {name: self.vector(vector) for name, vector in point.vectors.items()},
                dict(point.payload),
            )
            for point in points
        ]

    def queries(self, queries: Iterable[VectorQuery], limit: int) -> list[Any]:
        """Convert queries for the best ``limit`` points each."""
        return [self._query(query, limit) for query in queries]

    def _query(self, query: VectorQuery, limit: int) -> Any:
        where = self.filters.translate(query.where)
        more = {}
        if query.among:
            first, factor = query.among
            more["prefetch"] = self.prefetch(
                self.vector(first.vector), first.name, limit=factor * limit, filter=where
            )
        return self.query(self.vector(query.vector), query.name, limit=limit, filter=where, **more)

    def idf_queries(self, name: str, terms: Iterable[int]) -> list[Any]:
        """Make the query of each term that `idf` needs: its best point, with its vector."""
        return [
            self.query(
                self.sparse_vector(indices=[term], values=[1.0]),
                name,
                limit=1,
                with_vector=[name],
            )
            for term in terms
        ]

    def vector(self, vector: Vector) -> Any:
        """Convert a vector."""
        if isinstance(vector, SparseVector):
            return self.sparse_vector(indices=list(vector.indices), values=list(vector.values))
        return require_finite(vector).tolist()


def idf(name: str, terms: Sequence[int], rankings: Sequence[Sequence[Any]]) -> dict[int, float]:
    """Read the inverse document frequency of terms from the answers to `Dialect.idf_queries`.

    A search for one term scores the term's weight in the best point times this frequency.
    """
    best = {term: ranking[0] for term, ranking in zip(terms, rankings, strict=True) if ranking}
    return {
        term: point.score / _sparse(point.vector[name]).weight(term) for term, point in best.items()
    }


def stored_vector(record: Any, name: str) -> Vector | None:
    """Read one vector of a record; ``None`` where it has none of that name."""
    if not record.vector or name not in record.vector:
        return None
    vector = record.vector[name]
    if hasattr(vector, "indices"):
        return _sparse(vector)
    return np.asarray(vector, dtype=np.float32)


def _sparse(vector: Any) -> SparseVector:
    return SparseVector(tuple(vector.indices), tuple(vector.values))
