"""The connection to a server: its address, its errors and its retries, without a server."""

from json import JSONDecodeError
from pathlib import Path

import grpc
import pytest
from httpx import ConnectError, Headers, ReadTimeout
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from twotower.retrieval.index.store.connection import Address, Server
from twotower.retrieval.vocabulary.errors import ConfigurationError, ServiceError


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
        self.pauses = []
        self.server = Server(object(), "SERVER", self.pauses.append)

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
def test_temporary_errors_are_retried_a_bounded_number_of_times(error):
    calls = Calls(error)
    assert calls.server.call(calls) == "answer"
    assert calls.calls == 2
    lasting = Calls(*[error] * 99)
    lasting.server._reached = True
    with pytest.raises(ServiceError, match="tried 6 times"):
        lasting.server.call(lasting)
    assert lasting.calls == 6
    assert sum(lasting.pauses) < 60


def test_the_pause_that_a_server_asks_for_is_kept_and_logged(caplog):
    calls = Calls(ResourceExhaustedResponse("slow down", 7))
    calls.server.call(calls)
    assert calls.pauses == [7.0]
    assert caplog.messages == ["SERVER does not answer (slow down): trying again in 7 s"]


LASTING = [
    (http(401), ConfigurationError, "TWOTOWER_QDRANT_API_KEY"),
    (http(403), ConfigurationError, "TWOTOWER_QDRANT_API_KEY"),
    (GrpcError(grpc.StatusCode.UNAUTHENTICATED, "no"), ConfigurationError, "refused the key"),
    (http(404, "Not found: Collection"), ServiceError, "does not know the collection"),
    (http(400, "Wrong input"), ServiceError, "refused the call: Wrong input"),
    (http(500, "No space left on device"), ServiceError, "disk of SERVER is full"),
    (GrpcError(grpc.StatusCode.INVALID_ARGUMENT, "dim"), ServiceError, "refused the call: dim"),
    (ValueError("local mode"), ServiceError, "refused the call: local mode"),
]


@pytest.mark.parametrize(("error", "kind", "message"), LASTING, ids=lambda value: repr(value)[:40])
def test_lasting_errors_are_not_retried(error, kind, message):
    calls = Calls(error)
    with pytest.raises(kind, match=message):
        calls.server.call(calls)
    assert (calls.calls, calls.pauses) == (1, [])


def test_a_server_that_was_never_reached_is_given_up_sooner():
    refused = ResponseHandlingException(ConnectError("refused"))
    never = Calls(*[refused] * 9)
    with pytest.raises(ServiceError, match="cannot be reached"):
        never.server.call(never)
    assert never.calls == 2
    restarts = Calls(*[refused] * 4)
    restarts.server.call(lambda: None)
    assert restarts.server.call(restarts) == "answer"


URLS = [
    "", "localhost:6333", "ftp://host", "http://", "https://:6333", "http://h:99999", "http://h:abc",
    "http://[::1", " http://h:1", "http://ho st:1", "http://h:6333?a=b",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_an_impossible_url_is_refused(url):
    with pytest.raises(ConfigurationError, match="write it as http://HOST:6333"):
        Address(url).connect()


def test_a_password_in_a_url_is_refused_and_not_shown():
    with pytest.raises(ConfigurationError, match="contains a user name") as caught:
        Address("http://me:secretpw@host:6333").connect()
    assert "secretpw" not in str(caught.value)


@pytest.mark.parametrize("key", ["a\nb", "schl\u00fcssel", "a b", "\x00"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key):
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
def test_a_key_that_is_sent_without_encryption_is_noticed(url, key, openly):
    assert Address(url, key).sends_key_openly is openly
