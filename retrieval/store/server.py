"""The server store: a Qdrant server or cluster by qdrant-client, and the connection to it.

Every call may be repeated without harm: points are written and removed by their ids. So what a
network does to a call (lost, late, cut off, answered though it came twice) is met by calling again,
a bounded number of times, and after the time that the server asks for.
"""

import json
import random
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

import grpc
import httpx
import numpy as np
from pydantic import ValidationError
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from retrieval.errors import ConfigurationError, ServiceError
from retrieval.filters import Filter
from retrieval.fusion import ordered
from retrieval.store.conditions import Dialect
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

OLDEST = (1, 19)  # prefix matching of keywords came with it

_PAGE = 1000
_ALL = 10_000_000  # values of a facet
_BATCH_BYTES = 8 * 2**20  # of a write; servers refuse more than 32 MiB unless told otherwise
_NUMBER_BYTES = 20  # of one number in JSON
_ATTEMPTS = 6
_FIRST_PAUSE = 0.2  # seconds; doubled at each attempt
_LONGEST_PAUSE = 60.0
_TOLD_FROM = 2.0  # a longer pause is not passed in silence
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_REFUSED = {401, 403}
_NOT_FOUND = 404
_GRPC_AGAIN = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL"}
_GRPC_STATUS = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404}
_FULL = ("no space left", "available disk space", "disk usage")
_DIALECT = Dialect(
    models.Filter,
    models.FieldCondition,
    models.MatchValue,
    models.MatchPrefix,
    models.MatchPhrase,
    models.Range,
    models.DatetimeRange,
    lambda ids: models.HasIdCondition(has_id=list(ids)),
)
_RESCORED = models.SearchParams(
    quantization=models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING)
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Qdrant server is, and how it is spoken to.

    Attributes
    ----------
    url
        ``http://`` or ``https://``.
    api_key
        Empty for a server without one.
    grpc
        Whether points travel by gRPC (port 6334), which is faster where the server offers it.
    timeout
        Seconds that one call may take.
    ca_file
        Certificates that the server's is checked against; ``None`` takes the system's.
    """

    url: str
    api_key: str = ""
    grpc: bool = False
    timeout: int = 30
    ca_file: Path | None = None

    @property
    def sends_key_openly(self) -> bool:
        """Whether the key leaves this machine without encryption."""
        parts = _parts(self.url)
        here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        return bool(self.api_key) and parts.scheme == "http" and not here

    def connect(self) -> QdrantClient:
        """Make the client, which does not connect before its first call.

        Raises
        ------
        ConfigurationError
            If the URL or the certificates cannot be used.
        """
        parts = _parts(self.url)
        if not (self.api_key.isascii() and self.api_key.isprintable()) or " " in self.api_key:
            raise ConfigurationError(
                "TWOTOWER_QDRANT_API_KEY has characters that no key has (line breaks, spaces, or "
                "others than ASCII): set it anew"
            )
        more: dict[str, Any] = {}
        if self.ca_file is not None:
            import ssl  # noqa: PLC0415 - few need it

            try:
                more["verify"] = ssl.create_default_context(cafile=self.ca_file.expanduser())
            except OSError as error:  # SSLError is one
                raise ConfigurationError(
                    f"TWOTOWER_QDRANT_CA_FILE {self.ca_file} cannot be used ({error}): name a "
                    "file of PEM certificates"
                ) from error
        with warnings.catch_warnings():  # the catalog tells it in our words
            warnings.filterwarnings("ignore", message="Api key is used with an insecure")
            return QdrantClient(
                url=self.url,
                port=parts.port or (443 if parts.scheme == "https" else 6333),
                api_key=self.api_key or None,
                prefer_grpc=self.grpc,
                timeout=self.timeout,
                check_compatibility=False,
                **more,
            )


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    good = re.fullmatch(r"https?://(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d+)?(?:/[\w./-]*)?", url)
    if not good or not parts.hostname:
        told = "has a user name in it" if "@" in url else f"is '{url}'"
        raise ConfigurationError(
            f"the server's URL {told}: write it as http://HOST:6333 or https://HOST, and the key "
            "into TWOTOWER_QDRANT_API_KEY"
        )
    return parts


class Server:
    """A connection: every call goes through it, and through its patience.

    Parameters
    ----------
    client
        Connected to a server, or in local mode.
    name
        For messages: the server's URL.
    tell
        Told when a wait is long.
    sleep
        The clock's other half.
    """

    def __init__(
        self,
        client: QdrantClient,
        name: str,
        tell: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client = client
        self.name = name
        self._tell = tell
        self._sleep = sleep
        self._reached = False

    def call(self, method: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        """Call the server, again where that may help.

        Raises
        ------
        ConfigurationError
            If the server refuses the key.
        ServiceError
            If it cannot be reached, is full, or refuses the call.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = method(*arguments, **named)
            except Exception as error:  # the library's own, httpx's, grpc's and pydantic's
                status, text, asked = _understood(error)
                full = any(sign in text.lower() for sign in _FULL)
                # A server that was never reached is more likely not there than busy.
                lost = not self._reached and _is_elsewhere(error) and attempt > 1
                if status not in _AGAIN or full or lost or attempt == _ATTEMPTS:
                    raise self._translated(status, text, full, attempt) from error
                pause = asked or min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)
                if pause > _LONGEST_PAUSE:
                    raise ServiceError(
                        f"{self.name} asks for a pause of {pause:.0f} s: run again then"
                    ) from error
                if pause >= _TOLD_FROM:
                    self._tell(
                        f"{self.name} does not answer ({text}): trying again in {pause:.0f} s"
                    )
                self._sleep(pause if asked else pause * random.uniform(1.0, 1.5))  # noqa: S311
            else:
                self._reached = True
                return answer
        raise AssertionError  # the last attempt returned or raised

    def check(self) -> None:
        """Make sure that a server answers, and is new enough.

        Raises
        ------
        ServiceError
            If it is not.
        """
        version = str(self.call(self.client.info).version)
        try:
            major, minor = (int(part) for part in version.split(".")[:2])
        except ValueError:
            raise ServiceError(
                f"what answers at {self.name} is no Qdrant server (its version is '{version}'): "
                "check TWOTOWER_QDRANT_URL"
            ) from None
        if (major, minor) < OLDEST:
            raise ServiceError(
                f"{self.name} runs Qdrant {version}; {OLDEST[0]}.{OLDEST[1]} or newer is needed: "
                "upgrade the server"
            )

    def _translated(self, status: int, text: str, full: bool, attempts: int) -> Exception:
        if status in _REFUSED:
            return ConfigurationError(
                f"{self.name} refused the key ({text}): set TWOTOWER_QDRANT_API_KEY"
            )
        if full:
            return ServiceError(
                f"the disk of {self.name} is full ({text}): make room there and run again; what "
                "was committed stays"
            )
        if status == _NOT_FOUND:
            return ServiceError(
                f"{self.name} does not have what was asked for ({text}): check "
                "TWOTOWER_QDRANT_URL; or the collection was replaced meanwhile: run again"
            )
        if status in _AGAIN:
            return ServiceError(
                f"{self.name} cannot be reached or does not answer ({text}; tried {attempts} "
                "times): check TWOTOWER_QDRANT_URL and that the server runs, then run again; what "
                "was committed stays"
            )
        doubt = "" if self._reached else "; is it a Qdrant server? check TWOTOWER_QDRANT_URL"
        return ServiceError(f"{self.name} refused the call: {text}{doubt}")


def _understood(error: Exception) -> tuple[int, str, float]:
    """Give an error its HTTP status, its text, and the seconds that the server wants to be left."""
    if isinstance(error, ResourceExhaustedResponse):
        return 429, str(error), float(error.retry_after_s)
    if isinstance(error, UnexpectedResponse):
        return error.status_code or 500, _reason(error), 0.0
    # Not sent, not answered, or not understood.
    source = error.source if isinstance(error, ResponseHandlingException) else error
    if isinstance(source, (json.JSONDecodeError, UnicodeDecodeError, ValidationError)):
        return 502, "its answer is cut off or not Qdrant's", 0.0
    if source is not error:
        return 503, str(source) or type(source).__name__, 0.0
    if isinstance(error, grpc.RpcError):
        code = error.code().name
        status = 503 if code in _GRPC_AGAIN else _GRPC_STATUS.get(code, 400)
        return status, error.details() or code, 0.0
    return 400, str(error) or type(error).__name__, 0.0  # local mode raises ValueError and others


def _is_elsewhere(error: Exception) -> bool:
    """Whether nobody listens there, or somebody who is not Qdrant."""
    elsewhere = (httpx.ConnectError, ValueError)
    return isinstance(error, ValueError) or isinstance(getattr(error, "source", None), elsewhere)


def _reason(error: UnexpectedResponse) -> str:
    try:
        return str(error.structured()["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.status_code} {error.reason_phrase}".strip()


class ServerStore:
    """One collection of a Qdrant server.

    Parameters
    ----------
    collection
        As the server calls it: the collection itself, never an alias, so that what is read and
        written stays one version whatever an alias points to meanwhile.
    """

    def __init__(self, server: Server, collection: str) -> None:
        self._server = server
        self._client = server.client
        self._collection = collection

    @classmethod
    def create(
        cls, server: Server, collection: str, dimension: int, options: StoreOptions
    ) -> "ServerStore":
        """Create a collection with its payload indexes, before its first point."""
        quantized: dict[str, Any] = {
            "none": None,
            "int8": models.ScalarQuantization(
                scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
            ),
            "turbo": models.TurboQuantization(
                turbo=models.TurboQuantQuantizationConfig(
                    bits=models.TurboQuantBitSize.BITS4, always_ram=True
                )
            ),
        }
        dense = models.VectorParams(
            size=dimension,
            distance=models.Distance.COSINE,
            quantization_config=quantized[options.quantization],
            on_disk=options.on_disk or None,
        )
        if not server.call(server.client.collection_exists, collection):
            server.call(
                server.client.create_collection,
                collection,
                vectors_config={DENSE: dense},
                sparse_vectors_config={
                    BM25: models.SparseVectorParams(modifier=models.Modifier.IDF)
                },
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
            self._call("upsert", points=[_server_point(point) for point in batch], wait=wait)

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

    def vectors(self, ids: Sequence[UUID]) -> dict[UUID, Vectors]:
        """See `Store.vectors`."""
        return {
            UUID(str(record.id)): np.asarray(record.vector[DENSE], dtype=np.float32)
            for record in self._records(ids, with_payload=False, with_vectors=[DENSE])
            if record.vector and DENSE in record.vector
        }

    def term_weights(self, ids: Sequence[UUID]) -> dict[UUID, SparseVector]:
        """See `Store.term_weights`."""
        return {
            UUID(str(record.id)): _sparse(record.vector[BM25])
            for record in self._records(ids, with_payload=False, with_vectors=[BM25])
            if record.vector and BM25 in record.vector
        }

    def idf(self, terms: Sequence[int]) -> dict[int, float]:
        """See `Store.idf`: a search for one term scores its weight in the best point times this."""
        requests = [
            models.QueryRequest(
                query=models.SparseVector(indices=[term], values=[1.0]),
                using=BM25,
                limit=1,
                with_vector=[BM25],
            )
            for term in terms
        ]
        if not requests:
            return {}
        answers = self._call("query_batch_points", requests=requests)
        found = {t: a.points[0] for t, a in zip(terms, answers, strict=True) if a.points}
        return {t: p.score / _sparse(p.vector[BM25]).weight(t) for t, p in found.items()}

    def index(self, key: str, kind: IndexKind) -> None:
        """See `Store.index`."""
        made: dict[IndexKind, Any] = {
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
        }
        self._call("create_payload_index", field_name=key, field_schema=made[kind], wait=True)

    def scroll(self, where: Filter) -> Iterator[tuple[UUID, Payload]]:
        """See `Store.scroll`."""
        offset = None
        while True:
            records, offset = self._call(
                "scroll", scroll_filter=_DIALECT.translate(where), limit=_PAGE, offset=offset
            )
            yield from ((UUID(str(record.id)), record.payload or {}) for record in records)
            if offset is None:
                return

    def search(self, legs: Sequence[Leg], limit: int) -> list[list[Scored]]:
        """See `Store.search`."""
        requests = [
            models.QueryRequest(
                query=_server_vector(leg.vector),
                using=leg.name,
                limit=limit,
                filter=_DIALECT.translate(leg.where),
                params=_RESCORED,
            )
            for leg in legs
        ]
        answers = self._call("query_batch_points", requests=requests)
        return [ordered(Scored(UUID(str(p.id)), p.score) for p in a.points) for a in answers]

    def count(self, where: Filter) -> int:
        """See `Store.count`."""
        answer = self._call("count", count_filter=_DIALECT.translate(where), exact=True)
        return int(answer.count)

    def count_by(self, key: str, where: Filter) -> dict[str, int]:
        """See `Store.count_by`."""
        answer = self._call(
            "facet", key=key, facet_filter=_DIALECT.translate(where), limit=_ALL, exact=True
        )
        return {str(hit.value): hit.count for hit in answer.hits}

    def optimize(self) -> bool:
        """See `Store.optimize`: a server does it by itself, beside its other work."""
        return False

    def close(self) -> None:
        """See `Store.close`; the connection is the catalog's."""

    def _records(self, ids: Sequence[UUID], **wanted: Any) -> Iterator[Any]:
        for page in _pages(list(ids)):
            yield from self._call("retrieve", ids=page, **wanted)

    def _call(self, method: str, **arguments: Any) -> Any:
        return self._server.call(getattr(self._client, method), self._collection, **arguments)


def _pages(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), _PAGE):
        yield items[start : start + _PAGE]


def _batches(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Divide points so that no request is larger than a server takes."""
    batch: list[Point] = []
    size = 0
    for point in points:
        numbers = 0 if point.dense is None else len(point.dense)
        numbers += 0 if point.bm25 is None else 2 * len(point.bm25.indices)
        more = len(json.dumps(point.payload)) + numbers * _NUMBER_BYTES
        if batch and size + more > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(point)
        size += more
    if batch:
        yield batch


def _server_point(point: Point) -> models.PointStruct:
    vectors: dict[str, Any] = {}
    if point.dense is not None:
        vectors[DENSE] = _server_vector(point.dense)
    if point.bm25 is not None:
        vectors[BM25] = _server_vector(point.bm25)
    return models.PointStruct(id=point.id, vector=vectors, payload=dict(point.payload))


def _server_vector(vector: Any) -> Any:
    if isinstance(vector, SparseVector):
        return models.SparseVector(indices=list(vector.indices), values=list(vector.values))
    return require_finite(vector).tolist()


def _sparse(vector: Any) -> SparseVector:
    return SparseVector(tuple(vector.indices), tuple(vector.values))
