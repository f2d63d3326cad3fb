"""What is made of a server's errors, without a server."""

from json import JSONDecodeError
from pathlib import Path

import grpc
import pytest
from httpx import ConnectError, Headers, ReadTimeout
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from retrieval.errors import ConfigurationError, ServiceError
from retrieval.store import server
from retrieval.store.protocol import Point
from retrieval.store.server import Address, Server
from retrieval.types import SparseVector


class GrpcError(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self):
        return self._code

    def details(self):
        return self._details


def http(status: int, error: str = "why") -> UnexpectedResponse:
    content = f'{{"status": {{"error": "{error}"}}}}'.encode()
    return UnexpectedResponse(status, "Reason", content, Headers())


class Calls:
    """A call that fails with each error in turn, then answers; and a clock."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.pauses, self.told = [], []
        self.server = Server(object(), "SERVER", self.told.append, self.pauses.append)

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


AGAIN = [
    http(500),
    http(503),
    http(429),
    ResourceExhaustedResponse("slow down", 2),
    ResponseHandlingException(ReadTimeout("timed out")),
    ResponseHandlingException(JSONDecodeError("half an answer", "", 0)),
    JSONDecodeError("<html>", "", 0),
    GrpcError(grpc.StatusCode.UNAVAILABLE, "gone"),
    GrpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down"),
    GrpcError(grpc.StatusCode.DEADLINE_EXCEEDED, "late"),
]


@pytest.mark.parametrize("error", AGAIN, ids=repr)
def test_what_may_pass_is_tried_again_a_bounded_number_of_times(error):
    calls = Calls(error)
    assert calls.server.call(calls) == "answer"
    assert calls.calls == 2
    lasting = Calls(*[error] * 99)
    lasting.server._reached = True
    with pytest.raises(ServiceError, match="tried 6 times"):
        lasting.server.call(lasting)
    assert lasting.calls == 6
    assert sum(lasting.pauses) < 60


def test_the_rest_that_a_server_asks_for_is_given_and_told():
    calls = Calls(ResourceExhaustedResponse("slow down", 7))
    calls.server.call(calls)
    assert calls.pauses == [7.0]
    assert calls.told == ["SERVER does not answer (slow down): trying again in 7 s"]


LASTING = [
    (http(401), ConfigurationError, "TWOTOWER_QDRANT_API_KEY"),
    (http(403), ConfigurationError, "TWOTOWER_QDRANT_API_KEY"),
    (GrpcError(grpc.StatusCode.UNAUTHENTICATED, "no"), ConfigurationError, "refused the key"),
    (http(404, "Not found: Collection"), ServiceError, "replaced meanwhile"),
    (http(400, "Wrong input"), ServiceError, "refused the call: Wrong input"),
    (http(500, "No space left on device"), ServiceError, "disk of SERVER is full"),
    (GrpcError(grpc.StatusCode.INVALID_ARGUMENT, "dim"), ServiceError, "refused the call: dim"),
    (ValueError("local mode"), ServiceError, "refused the call: local mode"),
]


@pytest.mark.parametrize(("error", "kind", "message"), LASTING, ids=lambda value: repr(value)[:40])
def test_what_does_not_pass_is_not_tried_again(error, kind, message):
    calls = Calls(error)
    with pytest.raises(kind, match=message):
        calls.server.call(calls)
    assert (calls.calls, calls.pauses) == (1, [])


def test_a_server_that_was_never_there_is_given_up_soon_and_one_that_was_is_not():
    refused = ResponseHandlingException(ConnectError("refused"))
    never = Calls(*[refused] * 9)
    with pytest.raises(ServiceError, match="cannot be reached"):
        never.server.call(never)
    assert never.calls == 2
    restarts = Calls(*[refused] * 4)
    restarts.server.call(lambda: None)
    assert restarts.server.call(restarts) == "answer"


def test_requests_stay_below_what_a_server_takes(monkeypatch):
    points = [Point(n, {"text": "x" * 1000}, None, SparseVector((1,), (1.0,))) for n in range(50)]
    monkeypatch.setattr(server, "_BATCH_BYTES", 5000)
    batches = list(server._batches(points))
    assert [point.id for batch in batches for point in batch] == list(range(50))
    assert max(len(batch) for batch in batches) == 4
    huge = [Point(1, {"text": "x" * 9000}), Point(2, {})]
    assert [len(batch) for batch in server._batches(huge)] == [1, 1]


URLS = [
    "", "localhost:6333", "ftp://host", "http://", "https://:6333", "http://h:99999", "http://h:abc",
    "http://[::1", " http://h:1", "http://ho st:1", "http://h:6333?a=b",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(ConfigurationError, match="write it as http://HOST:6333"):
        Address(url).connect()


def test_a_password_in_a_url_is_refused_and_not_told():
    with pytest.raises(ConfigurationError, match="has a user name in it") as caught:
        Address("http://me:secretpw@host:6333").connect()
    assert "secretpw" not in str(caught.value)


@pytest.mark.parametrize("key", ["a\nb", "schl\u00fcssel", "a b", "\x00"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_told(key):
    with pytest.raises(ConfigurationError, match="TWOTOWER_QDRANT_API_KEY") as caught:
        Address("http://localhost:6333", key).connect()
    assert key not in str(caught.value)


def test_certificates_that_cannot_be_used_are_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    for file in (tmp_path / "ca.pem", Path("/nowhere/ca.pem")):
        with pytest.raises(ConfigurationError, match="PEM certificates"):
            Address("https://host", ca_file=file).connect()


@pytest.mark.parametrize(
    ("url", "key", "openly"),
    [
        ("http://qdrant.example.org:6333", "secret", True),
        ("https://qdrant.example.org", "secret", False),
        ("http://localhost:6333", "secret", False),
        ("http://qdrant.example.org:6333", "", False),
    ],
)
def test_a_key_that_leaves_the_machine_openly_is_noticed(url, key, openly):
    assert Address(url, key).sends_key_openly is openly
