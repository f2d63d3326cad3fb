"""The server store: one collection of a Qdrant server or cluster, through qdrant-client."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from qdrant_client import models

from twotower.retrieval.index.store.connection import Server
from twotower.retrieval.index.store.dialect import Dialect, FilterClasses, idf, stored_vector
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
from twotower.retrieval.vocabulary.filters import Filter
from twotower.retrieval.vocabulary.ranking import Scored, ordered
from twotower.retrieval.vocabulary.vectors import SparseVector, Vector

_PAGE = 1000
_ALL = 10_000_000  # values of a facet
_BATCH_BYTES = 8 * 2**20  # size of a write; servers refuse more than 32 MiB by default
_NUMBER_BYTES = 20  # size of one number in JSON
_RESCORED = models.SearchParams(
    quantization=models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING)
)


def _query(vector: Any, name: str, **more: Any) -> models.QueryRequest:
    return models.QueryRequest(query=vector, using=name, params=_RESCORED, **more)


def _prefetch(vector: Any, name: str, **more: Any) -> models.Prefetch:
    return models.Prefetch(query=vector, using=name, params=_RESCORED, **more)


def _sparse(idf: bool) -> models.SparseVectorParams:
    return models.SparseVectorParams(modifier=models.Modifier.IDF if idf else None)


def _point(id: UUID, vectors: dict[str, Any], payload: dict[str, Any]) -> models.PointStruct:
    return models.PointStruct(id=id, vector=vectors, payload=payload)


def _dense(*, on_disk: bool, **more: Any) -> models.VectorParams:
    # None leaves the choice to the server's own configuration.
    return models.VectorParams(distance=models.Distance.COSINE, on_disk=on_disk or None, **more)


_DIALECT = Dialect(
    filters=FilterClasses(
        filter=models.Filter,
        field=models.FieldCondition,
        value=models.MatchValue,
        prefix=models.MatchPrefix,
        phrase=models.MatchPhrase,
        numbers=models.Range,
        dates=models.DatetimeRange,
        ids=lambda ids: models.HasIdCondition(has_id=list(ids)),
    ),
    sparse_vector=models.SparseVector,
    query=_query,
    prefetch=_prefetch,
    point=_point,
    dense=_dense,
    sparse=_sparse,
    max_sim=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
    quantizations={
        "none": None,
        "int8": models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
        ),
        "turbo": models.TurboQuantization(
            turbo=models.TurboQuantQuantizationConfig(
                bits=models.TurboQuantBitSize.BITS4, always_ram=True
            )
        ),
    },
    indexes={
        "keyword": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, prefix=True),
        "integer": models.IntegerIndexParams(
            type=models.IntegerIndexType.INTEGER, lookup=True, range=True
        ),
        "float": models.PayloadSchemaType.FLOAT,
        "date": models.PayloadSchemaType.DATETIME,
        "phrase": models.TextIndexParams(
            type=models.TextIndexType.TEXT,
            tokenizer=models.TokenizerType.WORD,
            lowercase=True,
            phrase_matching=True,
        ),
    },
)


class ServerStore:
    """One collection of a Qdrant server.

    Parameters
    ----------
    collection
        Name of the collection on the server, never of an alias: an alias may point to another
        version at any time, and all reads and writes must go to one version.
    """

    def __init__(self, server: Server, collection: str) -> None:
        self._server = server
        self._client = server.client
        self._collection = collection

    @classmethod
    def create(
        cls,
        server: Server,
        collection: str,
        vectors: Sequence[VectorSpec],
        options: StoreOptions,
    ) -> "ServerStore":
        """Create a collection with its payload indexes, before its first point."""
        if not server.call(server.client.collection_exists, collection):
            server.call(
                server.client.create_collection,
                collection,
                vectors_config=_DIALECT.dense_vectors(vectors, options),
                sparse_vectors_config=_DIALECT.sparse_vectors(vectors),
                shard_number=options.shards or None,
                replication_factor=options.replicas or None,
                write_consistency_factor=options.write_consistency or None,
            )
        store = cls(server, collection)
        for key, kind in INDEXES.items():
            store.index(key, kind)
        return store

    def upsert(self, points: Sequence[Point], wait: bool = True) -> None:
        """See `Store.upsert`."""
        for batch in _batches(points):
            self._call("upsert", points=_DIALECT.points(batch), wait=wait)

    def overwrite_payloads(self, payloads: Mapping[UUID, Payload]) -> None:
        """See `Store.overwrite_payloads`."""
        operations = [
            models.OverwritePayloadOperation(
                overwrite_payload=models.SetPayload(payload=dict(payload), points=[id])
            )
            for id, payload in payloads.items()
        ]
        for page in _pages(operations):
            self._call("batch_update_points", update_operations=page, wait=True)

    def delete(self, ids: Sequence[UUID]) -> None:
        """See `Store.delete`."""
        for page in _pages(list(ids)):
            self._call("delete", points_selector=models.PointIdsList(points=page), wait=True)

    def retrieve(self, ids: Sequence[UUID]) -> dict[UUID, Payload]:
        """See `Store.retrieve`."""
        return {UUID(str(r.id)): r.payload or {} for r in self._records(ids, with_payload=True)}

    def vectors(self, name: str, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        """See `Store.vectors`."""
        records = self._records(ids, with_payload=False, with_vectors=[name])
        vectors = {UUID(str(record.id)): stored_vector(record, name) for record in records}
        return {id: vector for id, vector in vectors.items() if vector is not None}

    def idf(self, name: str, terms: Sequence[int]) -> dict[int, float]:
        """See `Store.idf`."""
        requests = _DIALECT.idf_queries(name, terms)
        return idf(name, terms, self._query(requests)) if requests else {}

    def index(self, key: str, kind: IndexKind) -> None:
        """See `Store.index`."""
        self._call(
            "create_payload_index",
            field_name=key,
            field_schema=_DIALECT.indexes[kind],
            wait=True,
        )

    def scroll(self, where: Filter) -> Iterator[tuple[UUID, Payload]]:
        """See `Store.scroll`."""
        offset = None
        while True:
            records, offset = self._call(
                "scroll",
                scroll_filter=_DIALECT.filters.translate(where),
                limit=_PAGE,
                offset=offset,
            )
            yield from ((UUID(str(record.id)), record.payload or {}) for record in records)
            if offset is None:
                return

    def search(self, queries: Sequence[VectorQuery], limit: int) -> list[list[Scored]]:
        """See `Store.search`."""
        rankings = self._query(_DIALECT.queries(queries, limit))
        return [ordered(Scored(UUID(str(p.id)), p.score) for p in r) for r in rankings]

    def count(self, where: Filter) -> int:
        """See `Store.count`."""
        answer = self._call("count", count_filter=_DIALECT.filters.translate(where), exact=True)
        return int(answer.count)

    def count_by(self, key: str, where: Filter) -> dict[str, int]:
        """See `Store.count_by`."""
        answer = self._call(
            "facet", key=key, facet_filter=_DIALECT.filters.translate(where), limit=_ALL, exact=True
        )
        return {str(hit.value): hit.count for hit in answer.hits}

    def optimize(self) -> bool:
        """See `Store.optimize`; a server builds its indexes by itself."""
        return False

    def close(self) -> None:
        """See `Store.close`; the catalog closes the connection."""

    def _query(self, requests: list[models.QueryRequest]) -> list[list[models.ScoredPoint]]:
        return [answer.points for answer in self._call("query_batch_points", requests=requests)]

    def _records(self, ids: Sequence[UUID], **wanted: Any) -> Iterator[Any]:
        for page in _pages(list(ids)):
            yield from self._call("retrieve", ids=page, **wanted)

    def _call(self, method: str, **arguments: Any) -> Any:
        return self._server.call(getattr(self._client, method), self._collection, **arguments)


def _pages(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), _PAGE):
        yield items[start : start + _PAGE]


def _batches(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Divide points so that no request is larger than a server accepts."""
    batch: list[Point] = []
    size = 0
    for point in points:
        numbers = sum(
            2 * len(vector.indices) if isinstance(vector, SparseVector) else vector.size
            for vector in point.vectors.values()
        )
        more = len(json.dumps(point.payload)) + numbers * _NUMBER_BYTES
        if batch and size + more > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(point)
        size += more
    if batch:
        yield batch
