"""A stand-in for a Qdrant server, where none runs: the few HTTP calls that the program makes.

Requests are read with qdrant-client's own models and carried out by its local mode, so what is
stored, filtered and ranked is the library's work; `FaultProxy` stands between client and stand-in
and does to requests what networks do. `make test-server` runs the contract suite on a real server.
"""

import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydantic import TypeAdapter
from qdrant_client import QdrantClient, models

BODIES = {
    "upsert": models.PointsList,
    "delete": models.PointIdsList,
    "batch": models.UpdateOperations,
    "retrieve": models.PointRequest,
    "scroll": models.ScrollRequest,
    "query": models.QueryRequestBatch,
    "count": models.CountRequest,
    "facet": models.FacetRequest,
    "create": models.CreateCollection,
    "index": models.CreateFieldIndex,
    "aliases": models.ChangeAliasesOperation,
}
ROUTES = [
    ("GET", r"/", "info"),
    ("GET", r"/collections", "list"),
    ("GET", r"/aliases", "get_aliases"),
    ("POST", r"/collections/aliases", "aliases"),
    ("GET", r"/collections/([^/]+)/exists", "exists"),
    ("PUT", r"/collections/([^/]+)", "create"),
    ("DELETE", r"/collections/([^/]+)", "drop"),
    ("PUT", r"/collections/([^/]+)/index", "index"),
    ("PUT", r"/collections/([^/]+)/points", "upsert"),
    ("POST", r"/collections/([^/]+)/points/delete", "delete"),
    ("POST", r"/collections/([^/]+)/points/batch", "batch"),
    ("POST", r"/collections/([^/]+)/points", "retrieve"),
    ("POST", r"/collections/([^/]+)/points/scroll", "scroll"),
    ("POST", r"/collections/([^/]+)/points/query/batch", "query"),
    ("POST", r"/collections/([^/]+)/points/count", "count"),
    ("POST", r"/collections/([^/]+)/facet", "facet"),
]
DONE = {"operation_id": 1, "status": "completed"}


class Served:
    """An HTTP server in a thread of this process."""

    def __init__(self, handle: Callable[[BaseHTTPRequestHandler, bytes], None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def answer_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                handle(self, body)

            do_GET = do_PUT = do_POST = do_DELETE = answer_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, content: object, **headers: str) -> None:
    body = json.dumps(content).encode()
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class StandIn(Served):
    """The server; its state is what ``client`` has."""

    def __init__(self, version: str = "1.20.0", api_key: str = "") -> None:
        self.client = QdrantClient(":memory:")
        self.version = version
        self.api_key = api_key
        self.full = False
        self.calls: list[str] = []
        self.writes: list[tuple[set[str], bool]] = []  # kinds of points, and whether waited for
        self._lock = threading.Lock()  # local mode is not for several threads
        super().__init__(self._handle)

    def _handle(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        path = urllib.request.unquote(handler.path.partition("?")[0])
        route = next(
            (
                (name, match)
                for method, pattern, name in ROUTES
                if method == handler.command and (match := re.fullmatch(pattern, path))
            ),
            None,
        )
        if self.api_key and handler.headers.get("api-key") != self.api_key:
            error = "Invalid API key or JWT"
            send(handler, 401, {"status": {"error": error}, "time": 0.0})
            return
        if route is None:
            send(handler, 404, {"status": {"error": f"no route {handler.command} {path}"}})
            return
        name, match = route
        self.calls.append(name)
        if name == "upsert":
            kinds = {point["payload"]["kind"] for point in json.loads(body)["points"]}
            self.writes.append((kinds, "wait=true" in handler.path))
        if self.full and name in ("upsert", "batch"):
            error = "Service internal error: No space left on device: WAL buffer size exceeds"
            send(handler, 500, {"status": {"error": error}, "time": 0.0})
            return
        try:
            read = TypeAdapter(BODIES[name]).validate_json(body) if name in BODIES else None
            with self._lock:
                result = getattr(self, f"_{name}")(*match.groups(), *([read] if read else []))
        except ValueError as error:
            status = 404 if "not found" in str(error) else 400
            send(handler, status, {"status": {"error": str(error)}, "time": 0.0})
            return
        if name == "info":
            send(handler, 200, result)
            return
        plain = TypeAdapter(object).dump_python(result, mode="json")
        send(handler, 200, {"result": plain, "status": "ok", "time": 0.0})

    def _info(self) -> object:
        return {"title": "qdrant - vector search engine", "version": self.version}

    def _list(self) -> object:
        return self.client.get_collections()

    def _get_aliases(self) -> object:
        return self.client.get_aliases()

    def _aliases(self, body: models.ChangeAliasesOperation) -> object:
        return self.client.update_collection_aliases(body.actions)

    def _exists(self, name: str) -> object:
        return {"exists": self.client.collection_exists(name)}

    def _create(self, name: str, body: models.CreateCollection) -> object:
        return self.client.create_collection(
            name, vectors_config=body.vectors, sparse_vectors_config=body.sparse_vectors
        )

    def _drop(self, name: str) -> object:
        return self.client.delete_collection(name)

    def _index(self, name: str, body: models.CreateFieldIndex) -> object:
        return DONE

    def _upsert(self, name: str, body: models.PointsList) -> object:
        self.client.upsert(name, body.points, update_filter=body.update_filter)
        return DONE

    def _delete(self, name: str, body: models.PointIdsList) -> object:
        self.client.delete(name, body)
        return DONE

    def _batch(self, name: str, body: models.UpdateOperations) -> object:
        self.client.batch_update_points(name, body.operations)
        return [DONE for _ in body.operations]

    def _retrieve(self, name: str, body: models.PointRequest) -> object:
        return self.client.retrieve(name, body.ids, body.with_payload, body.with_vector or False)

    def _scroll(self, name: str, body: models.ScrollRequest) -> object:
        points, offset = self.client.scroll(
            name, body.filter, limit=body.limit, offset=body.offset, with_payload=True
        )
        return {"points": points, "next_page_offset": offset}

    def _query(self, name: str, body: models.QueryRequestBatch) -> object:
        return self.client.query_batch_points(name, body.searches)

    def _count(self, name: str, body: models.CountRequest) -> object:
        return self.client.count(name, body.filter, exact=True)

    def _facet(self, name: str, body: models.FacetRequest) -> object:
        return self.client.facet(name, body.key, body.filter, limit=body.limit, exact=True)


class FaultProxy(Served):
    """Between client and server; ``fault`` names what is done to each request, by its number.

    ``drop``: the connection ends before the server sees the request; ``lost``: after it did;
    ``delay``; ``429`` with retry-after; ``500``; ``truncate``: half of the answer; ``half-open``:
    nothing ever comes back.
    """

    def __init__(self, upstream: str, fault: Callable[[int, str], str | None]) -> None:
        self._upstream = upstream
        self._fault = fault
        self.requests = 0
        self.faults: list[str] = []
        self._closed = threading.Event()
        super().__init__(self._handle)

    def close(self) -> None:
        self._closed.set()
        super().close()

    def _handle(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.requests += 1
        fault = self._fault(self.requests, handler.path)
        if fault:
            self.faults.append(fault)
        handler.close_connection = True
        if fault == "drop":
            return
        if fault == "half-open":
            self._closed.wait(10)
            return
        if fault == "429":
            send(handler, 429, {"status": {"error": "slow down"}}, Retry_After="1")
            return
        if fault == "500":
            send(handler, 500, {"status": {"error": "internal"}})
            return
        if fault == "delay":
            time.sleep(0.3)
        status, answer = self._forward(handler, body)
        if fault == "lost":
            return
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer[: len(answer) // 2] if fault == "truncate" else answer)

    def _forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        kept = {k: v for k, v in handler.headers.items() if k.lower() == "api-key"}
        request = urllib.request.Request(
            self._upstream + handler.path,
            data=body or None,
            headers={"Content-Type": "application/json"} | kept,
            method=handler.command,
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
