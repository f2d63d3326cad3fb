"""The embedded store: Qdrant's own engine in this process, one owner process at a time.

Measured on qdrant-edge-py 0.9: an upsert survives SIGKILL once it returned (write-ahead log on);
`optimize()` holds the interpreter lock for its whole run, so no process that serves calls it; a NaN
is accepted, so vectors are checked; a full disk kills the process with SIGBUS, so free space is
checked before each write.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import qdrant_edge as qdrant

from retrieval.errors import ServiceError
from retrieval.filters import Filter
from retrieval.fusion import ordered
from retrieval.store.conditions import Dialect
from retrieval.store.owner import Ownership
from retrieval.store.protocol import (
    BM25,
    DENSE,
    INDEXES,
    OVERSAMPLING,
    IndexKind,
    Leg,
    Payload,
    Point,
    StoreOptions,
)
from retrieval.types import Scored, SparseVector
from retrieval.vectors import Vectors, require_finite

_PAGE = 1000
_ALL = 2**31 - 1  # the engine wants a limit
_MIN_FREE_BYTES = 200 * 2**20
_MIN_FREE_TO_OPEN = 16 * 2**20  # files with holes are touched
_DIALECT = Dialect(
    qdrant.Filter,
    qdrant.FieldCondition,
    qdrant.MatchValue,
    qdrant.MatchPrefix,
    qdrant.MatchPhrase,
    qdrant.RangeFloat,
    qdrant.RangeDateTime,
    lambda ids: qdrant.HasIdCondition(set(ids)),
)
# Without quantized vectors it changes nothing.
_RESCORED = qdrant.SearchParams(
    quantization=qdrant.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING)
)


class EdgeStore:
    """A collection in a local folder.

    Parameters
    ----------
    folder
        Where the engine keeps its files; made when ``dimension`` is given.
    dimension
        Of the dense vectors, to create the collection; ``None`` opens one that exists.
    options
        How a new collection is laid out.
    brief
        Whether this process lets go of it in a moment; one that meets it waits for that.

    Raises
    ------
    ServiceError
        If the folder cannot be used.
    InUse
        If another process has it open; it is named.
    """

    def __init__(
        self,
        folder: Path,
        dimension: int | None = None,
        options: StoreOptions | None = None,
        *,
        brief: bool = False,
    ) -> None:
        self._folder = folder
        if dimension is None:
            _require_space(folder, _MIN_FREE_TO_OPEN)
        try:
            self._ownership = Ownership(folder, brief=brief)
        except OSError as error:
            raise _opening_error(folder, error) from error
        try:
            self._shard = (
                _create(folder, dimension, options or StoreOptions())
                if dimension
                else qdrant.EdgeShard.load(os.fspath(folder))
            )
        except Exception as error:  # the engine raises nothing more precise
            self._ownership.release()
            raise _opening_error(folder, error) from error

    def upsert(self, points: Sequence[Point], wait: bool = True) -> None:  # noqa: ARG002 - it does
        """See `Store.upsert`."""
        self._check_space()
        self._update(qdrant.UpdateOperation.upsert_points([_engine_point(p) for p in points]))

    def overwrite_payloads(self, payloads: Mapping[UUID, Payload]) -> None:
        """See `Store.overwrite_payloads`."""
        self._check_space()
        for id, payload in payloads.items():
            self._update(qdrant.UpdateOperation.overwrite_payload([id], dict(payload)))

    def delete(self, ids: Sequence[UUID]) -> None:
        """See `Store.delete`."""
        self._update(qdrant.UpdateOperation.delete_points(list(ids)))

    def retrieve(self, ids: Sequence[UUID]) -> dict[UUID, Payload]:
        """See `Store.retrieve`."""
        records = _translated(self._shard.retrieve, list(ids), True, False)
        return {record.id: record.payload for record in records}

    def vectors(self, ids: Sequence[UUID]) -> dict[UUID, Vectors]:
        """See `Store.vectors`."""
        records = _translated(self._shard.retrieve, list(ids), False, [DENSE])
        return {
            record.id: np.asarray(record.vector[DENSE], dtype=np.float32)
            for record in records
            if record.vector and DENSE in record.vector
        }

    def term_weights(self, ids: Sequence[UUID]) -> dict[UUID, SparseVector]:
        """See `Store.term_weights`."""
        records = _translated(self._shard.retrieve, list(ids), False, [BM25])
        return {
            record.id: _sparse(record.vector[BM25])
            for record in records
            if record.vector and BM25 in record.vector
        }

    def idf(self, terms: Sequence[int]) -> dict[int, float]:
        """See `Store.idf`: a search for one term scores its weight in the best point times this."""
        requests = [
            qdrant.QueryRequest(
                1,
                query=qdrant.Query.Nearest(qdrant.SparseVector([term], [1.0]), using=BM25),
                with_vector=[BM25],
            )
            for term in terms
        ]
        if not requests:
            return {}
        answers = _translated(self._shard.query_batch, qdrant.QueryBatchRequest(requests))
        found = {term: points[0] for term, points in zip(terms, answers, strict=True) if points}
        return {t: p.score / _sparse(p.vector[BM25]).weight(t) for t, p in found.items()}

    def index(self, key: str, kind: IndexKind) -> None:
        """See `Store.index`."""
        _index(self._shard, key, kind)

    def scroll(self, where: Filter) -> Iterator[tuple[UUID, Payload]]:
        """See `Store.scroll`."""
        offset = None
        while True:
            request = qdrant.ScrollRequest(
                offset=offset, limit=_PAGE, filter=_DIALECT.translate(where), with_payload=True
            )
            records, offset = _translated(self._shard.scroll, request)
            yield from ((record.id, record.payload) for record in records)
            if offset is None:
                return

    def search(self, legs: Sequence[Leg], limit: int) -> list[list[Scored]]:
        """See `Store.search`."""
        requests = [
            qdrant.QueryRequest(
                limit,
                query=qdrant.Query.Nearest(_engine_vector(leg.vector), using=leg.name),
                filter=_DIALECT.translate(leg.where),
                params=_RESCORED,
            )
            for leg in legs
        ]
        rankings = _translated(self._shard.query_batch, qdrant.QueryBatchRequest(requests))
        return [ordered(Scored(point.id, point.score) for point in r) for r in rankings]

    def count(self, where: Filter) -> int:
        """See `Store.count`."""
        request = qdrant.CountRequest(exact=True, filter=_DIALECT.translate(where))
        count: int = _translated(self._shard.count, request)
        return count

    def count_by(self, key: str, where: Filter) -> dict[str, int]:
        """See `Store.count_by`."""
        request = qdrant.FacetRequest(key, limit=_ALL, exact=True, filter=_DIALECT.translate(where))
        return {str(hit.value): hit.count for hit in _translated(self._shard.facet, request).hits}

    def optimize(self) -> bool:
        """See `Store.optimize`; holds the interpreter for as long as it takes."""
        self._check_space()
        done: bool = _translated(self._shard.optimize)
        return done

    def close(self) -> None:
        """See `Store.close`."""
        _translated(self._shard.close)
        self._ownership.release()

    def _update(self, operation: qdrant.UpdateOperation) -> None:
        _translated(self._shard.update, operation)

    def _check_space(self) -> None:
        _require_space(self._folder, _MIN_FREE_BYTES)


def _require_space(folder: Path, least: int) -> None:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # it is not there: opening it says so
        return
    if free < least:
        raise ServiceError(
            f"disk of {folder} has {free // 2**20} MB free, {least // 2**20} MB are needed to work "
            "safely: make room and run again"
        )


def _create(folder: Path, dimension: int, options: StoreOptions) -> qdrant.EdgeShard:
    folder.mkdir(parents=True, exist_ok=True)
    quantized: dict[str, Any] = {
        "none": None,
        "int8": qdrant.ScalarQuantizationConfig(type=qdrant.ScalarType.Int8),
        "turbo": qdrant.TurboQuantQuantizationConfig(bits=qdrant.TurboQuantBitSize.Bits4),
    }
    dense = qdrant.EdgeVectorParams(
        size=dimension,
        distance=qdrant.Distance.Cosine,
        quantization_config=quantized[options.quantization],
        on_disk=options.on_disk,
    )
    shard = qdrant.EdgeShard.create(
        os.fspath(folder),
        qdrant.EdgeConfig(
            vectors={DENSE: dense},
            sparse_vectors={BM25: qdrant.EdgeSparseVectorParams(modifier=qdrant.Modifier.Idf)},
        ),
    )
    for key, kind in INDEXES.items():
        _index(shard, key, kind)
    return shard


def _index(shard: qdrant.EdgeShard, key: str, kind: IndexKind) -> None:
    made: dict[IndexKind, Any] = {
        "keyword": lambda: qdrant.KeywordIndexParams(prefix=True),
        "integer": lambda: qdrant.IntegerIndexParams(lookup=True, range=True),
        "float": qdrant.FloatIndexParams,
        "date": qdrant.DatetimeIndexParams,
        "phrase": lambda: qdrant.TextIndexParams(
            tokenizer=qdrant.TokenizerType.Word, lowercase=True, phrase_matching=True
        ),
    }
    operation = qdrant.UpdateOperation.create_field_index(key, made[kind]())
    _translated(shard.update, operation)


def _opening_error(folder: Path, error: Exception) -> ServiceError:
    if isinstance(error, OSError):
        return ServiceError(
            f"data directory {folder}: {error.strerror}; make it writable or set "
            "TWOTOWER_DATA_DIR to another place"
        )
    return ServiceError(
        f"collection in {folder} cannot be opened ({error}): restore the folder from a backup, or "
        "remove it and ingest again"
    )


def _translated(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except Exception as error:  # the engine raises nothing more precise
        raise ServiceError(f"the embedded engine refused the call: {error}") from error


def _engine_point(point: Point) -> qdrant.Point:
    vectors: dict[str, Any] = {}
    if point.dense is not None:
        vectors[DENSE] = _engine_vector(point.dense)
    if point.bm25 is not None:
        vectors[BM25] = _engine_vector(point.bm25)
    return qdrant.Point(point.id, vectors, dict(point.payload))


def _engine_vector(vector: Any) -> Any:
    if isinstance(vector, SparseVector):
        return qdrant.SparseVector(list(vector.indices), list(vector.values))
    return require_finite(vector).tolist()


def _sparse(vector: qdrant.SparseVector) -> SparseVector:
    return SparseVector(tuple(vector.indices), tuple(vector.values))
