"""The embedded store: Qdrant's own engine in this process, one owner process at a time.

Measured on qdrant-edge-py 0.9: an upsert survives SIGKILL once it returned (write-ahead log on);
`optimize()` holds the interpreter lock for its whole run, so no process that serves calls it; a NaN
is accepted, so vectors are checked; a full disk kills the process with SIGBUS, so free space is
checked before each write.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import qdrant_edge as qdrant

from twotower.retrieval.index.store.dialect import Dialect, FilterClasses, idf, stored_vector
from twotower.retrieval.index.store.owner import Ownership
from twotower.retrieval.index.store.panics import is_panic, no_traces
from twotower.retrieval.index.store.protocol import (
    INDEXES,
    OVERSAMPLING,
    IndexKind,
    Payload,
    Point,
    StoreOptions,
    VectorQuery,
    VectorSpec,
)
from twotower.retrieval.vocabulary.errors import ServiceError
from twotower.retrieval.vocabulary.filters import Filter
from twotower.retrieval.vocabulary.ranking import Scored, ordered
from twotower.retrieval.vocabulary.vectors import Vector

_PAGE = 1000
_ALL = 2**31 - 1  # the engine requires a limit
_MIN_FREE_BYTES = 200 * 2**20
_MIN_FREE_TO_OPEN = 16 * 2**20  # opening writes into files that have holes
# Without quantized vectors it changes nothing.
_RESCORED = qdrant.SearchParams(
    quantization=qdrant.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING)
)


def _query(
    vector: Any, name: str, *, limit: int, prefetch: Any = None, **more: Any
) -> qdrant.QueryRequest:
    nearest = qdrant.Query.Nearest(vector, using=name)
    prefetches = [prefetch] if prefetch else None
    return qdrant.QueryRequest(
        limit, query=nearest, params=_RESCORED, prefetches=prefetches, **more
    )


def _prefetch(vector: Any, name: str, *, limit: int, **more: Any) -> qdrant.Prefetch:
    nearest = qdrant.Query.Nearest(vector, using=name)
    return qdrant.Prefetch(limit, query=nearest, params=_RESCORED, **more)


def _sparse(idf: bool) -> qdrant.EdgeSparseVectorParams:
    return qdrant.EdgeSparseVectorParams(modifier=qdrant.Modifier.Idf if idf else None)


_DIALECT = Dialect(
    filters=FilterClasses(
        filter=qdrant.Filter,
        field=qdrant.FieldCondition,
        value=qdrant.MatchValue,
        prefix=qdrant.MatchPrefix,
        phrase=qdrant.MatchPhrase,
        numbers=qdrant.RangeFloat,
        dates=qdrant.RangeDateTime,
        ids=lambda ids: qdrant.HasIdCondition(set(ids)),
    ),
    sparse_vector=qdrant.SparseVector,
    query=_query,
    prefetch=_prefetch,
    point=qdrant.Point,
    dense=partial(qdrant.EdgeVectorParams, distance=qdrant.Distance.Cosine),
    sparse=_sparse,
    max_sim=qdrant.MultiVectorConfig(qdrant.MultiVectorComparator.MaxSim),
    quantizations={
        "none": None,
        "int8": qdrant.ScalarQuantizationConfig(type=qdrant.ScalarType.Int8),
        "turbo": qdrant.TurboQuantQuantizationConfig(bits=qdrant.TurboQuantBitSize.Bits4),
    },
    indexes={
        "keyword": qdrant.KeywordIndexParams(prefix=True),
        "integer": qdrant.IntegerIndexParams(lookup=True, range=True),
        "float": qdrant.FloatIndexParams(),
        "date": qdrant.DatetimeIndexParams(),
        "phrase": qdrant.TextIndexParams(
            tokenizer=qdrant.TokenizerType.Word, lowercase=True, phrase_matching=True
        ),
    },
)


class EdgeStore:
    """A collection in a local folder.

    Parameters
    ----------
    folder
        Folder of the engine's files; it is created when ``vectors`` is given.
    vectors
        Named vectors of a new collection; ``None`` opens a collection that exists.
    options
        Layout of a new collection.
    short_lived
        True if this process closes the collection in a moment, so that others wait for it.

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
        vectors: Sequence[VectorSpec] | None = None,
        options: StoreOptions | None = None,
        *,
        short_lived: bool = False,
    ) -> None:
        self._folder = folder
        if vectors is None:
            _require_space(folder, _MIN_FREE_TO_OPEN)
        try:
            self._ownership = Ownership(folder, short_lived=short_lived)
        except OSError as error:
            raise _opening_error(folder, error) from error
        try:
            with no_traces():
                self._shard = (
                    qdrant.EdgeShard.load(os.fspath(folder))
                    if vectors is None
                    else _create(folder, vectors, options or StoreOptions())
                )
        except BaseException as error:
            self._ownership.release()
            if isinstance(error, Exception) or is_panic(error):  # the engine has no error classes
                raise _opening_error(folder, error) from error
            raise

    def upsert(self, points: Sequence[Point], wait: bool = True) -> None:  # noqa: ARG002 - it does
        """See `Store.upsert`."""
        self._check_space()
        self._update(qdrant.UpdateOperation.upsert_points(_DIALECT.points(points)))

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

    def vectors(self, name: str, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        """See `Store.vectors`."""
        records = _translated(self._shard.retrieve, list(ids), False, [name])
        vectors = {record.id: stored_vector(record, name) for record in records}
        return {id: vector for id, vector in vectors.items() if vector is not None}

    def idf(self, name: str, terms: Sequence[int]) -> dict[int, float]:
        """See `Store.idf`."""
        requests = _DIALECT.idf_queries(name, terms)
        return idf(name, terms, self._query(requests)) if requests else {}

    def index(self, key: str, kind: IndexKind) -> None:
        """See `Store.index`."""
        _index(self._shard, key, kind)

    def scroll(self, where: Filter) -> Iterator[tuple[UUID, Payload]]:
        """See `Store.scroll`."""
        offset = None
        while True:
            request = qdrant.ScrollRequest(
                offset=offset,
                limit=_PAGE,
                filter=_DIALECT.filters.translate(where),
                with_payload=True,
            )
            records, offset = _translated(self._shard.scroll, request)
            yield from ((record.id, record.payload) for record in records)
            if offset is None:
                return

    def search(self, queries: Sequence[VectorQuery], limit: int) -> list[list[Scored]]:
        """See `Store.search`."""
        rankings = self._query(_DIALECT.queries(queries, limit))
        # Every id that was written is a UUID.
        return [
            ordered(Scored(point.id, point.score) for point in ranking)  # type: ignore[arg-type]
            for ranking in rankings
        ]

    def count(self, where: Filter) -> int:
        """See `Store.count`."""
        request = qdrant.CountRequest(exact=True, filter=_DIALECT.filters.translate(where))
        count: int = _translated(self._shard.count, request)
        return count

    def count_by(self, key: str, where: Filter) -> dict[str, int]:
        """See `Store.count_by`."""
        request = qdrant.FacetRequest(
            key, limit=_ALL, exact=True, filter=_DIALECT.filters.translate(where)
        )
        return {str(hit.value): hit.count for hit in _translated(self._shard.facet, request).hits}

    def optimize(self) -> bool:
        """See `Store.optimize`; it holds the interpreter lock for its whole run."""
        self._check_space()
        done: bool = _translated(self._shard.optimize)
        return done

    def close(self) -> None:
        """See `Store.close`."""
        try:
            _translated(self._shard.close)
        finally:
            self._ownership.release()

    def _query(self, requests: list[qdrant.QueryRequest]) -> list[list[qdrant.ScoredPoint]]:
        rankings: list[list[qdrant.ScoredPoint]] = _translated(
            self._shard.query_batch, qdrant.QueryBatchRequest(requests)
        )
        return rankings

    def _update(self, operation: qdrant.UpdateOperation) -> None:
        _translated(self._shard.update, operation)

    def _check_space(self) -> None:
        _require_space(self._folder, _MIN_FREE_BYTES)


def _require_space(folder: Path, least: int) -> None:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # the folder does not exist: opening it reports that
        return
    if free < least:
        raise ServiceError(
            f"the disk of {folder} has {free // 2**20} MB free, but {least // 2**20} MB are needed "
            "to work safely: make room and run again"
        )


def _create(folder: Path, vectors: Sequence[VectorSpec], options: StoreOptions) -> qdrant.EdgeShard:
    folder.mkdir(parents=True, exist_ok=True)
    config = qdrant.EdgeConfig(
        vectors=_DIALECT.dense_vectors(vectors, options),
        sparse_vectors=_DIALECT.sparse_vectors(vectors),
    )
    shard = qdrant.EdgeShard.create(os.fspath(folder), config)
    for key, kind in INDEXES.items():
        _index(shard, key, kind)
    return shard


def _index(shard: qdrant.EdgeShard, key: str, kind: IndexKind) -> None:
    operation = qdrant.UpdateOperation.create_field_index(key, _DIALECT.indexes[kind])
    _translated(shard.update, operation)


def _opening_error(folder: Path, error: BaseException) -> ServiceError:
    if isinstance(error, OSError):
        return ServiceError(
            f"data directory {folder}: {error.strerror}; make it writable, or set "
            "TWOTOWER_DATA_DIR to another directory"
        )
    return ServiceError(
        f"collection in {folder} cannot be opened ({_reason(error)}): run "
        "`twotower doctor --repair`, or restore the folder from a backup"
    )


def _translated(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except BaseException as error:
        if isinstance(error, Exception) or is_panic(error):  # the engine has no error classes
            raise ServiceError(f"the embedded engine refused the call: {_reason(error)}") from error
        raise


def _reason(error: BaseException) -> str:
    """The error's message on one line."""
    message = " ".join(str(error).split())
    return f"the engine panicked: {message}" if is_panic(error) else message
