"""The connection to a Qdrant server: its address, its errors, and when a call is tried again.

Every call may be repeated without harm: points are written and removed by their ids. So when a
request or its answer is lost, late, cut off or answered twice, the call is tried again, a bounded
number of times, and not before the time that the server asks for.
"""

import json
import logging
import random
import re
import ssl
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

import grpc
import httpx
from pydantic import ValidationError
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from twotower.retrieval.vocabulary.errors import ConfigurationError, ServiceError

OLDEST = (1, 19)  # the first version that matches prefixes of keywords

_LOG = logging.getLogger(__name__)

_ATTEMPTS = 6
_FIRST_PAUSE = 0.2  # seconds; doubled at each attempt
_LONGEST_PAUSE = 60.0
_LOGGED_PAUSE = 2.0  # seconds from which a pause is logged
_RETRIED = {408, 425, 429, 500, 502, 503, 504}
_UNAUTHORIZED = {401, 403}
_NOT_FOUND = 404
_GRPC_RETRIED = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL"}
_GRPC_STATUS = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404}
_DISK_FULL = ("no space left", "available disk space", "disk usage")


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a Qdrant server, and how to connect to it.

    Attributes
    ----------
    url
        URL of the server, with ``http://`` or ``https://``.
    api_key
        API key of the server; empty for a server without one.
    grpc
        True to send points by gRPC (port 6334), which is faster where the server offers it.
    timeout
        Time limit of one call in seconds.
    ca_file
        Certificates that the server's certificate is checked against; ``None`` uses the system's.
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
            If the URL, the key or the certificates cannot be used.
        """
        parts = _parts(self.url)
        if not (self.api_key.isascii() and self.api_key.isprintable()) or " " in self.api_key:
            raise ConfigurationError(
                "TWOTOWER_QDRANT_API_KEY contains characters that are not allowed in a key (line "
                "breaks, spaces, or characters outside ASCII): set it again"
            )
        more: dict[str, Any] = {}
        if self.ca_file is not None:
            try:
                more["verify"] = ssl.create_default_context(cafile=self.ca_file.expanduser())
            except OSError as error:  # SSLError is one
                raise ConfigurationError(
                    f"TWOTOWER_QDRANT_CA_FILE {self.ca_file} cannot be used ({error}): set it to "
                    "a file of PEM certificates"
                ) from error
        with warnings.catch_warnings():  # the application warns in its own words
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
        problem = "contains a user name" if "@" in url else f"is '{url}'"
        raise ConfigurationError(
            f"the server's URL {problem}: write it as http://HOST:6333 or https://HOST, and set "
            "the key in TWOTOWER_QDRANT_API_KEY"
        )
    return parts


class _Failure(NamedTuple):
    """What an error of a call means."""

    status: int  # of HTTP, or the one that corresponds to it
    reason: str
    pause: float = 0.0  # seconds that the server asks for

    @property
    def disk_full(self) -> bool:
        return any(phrase in self.reason.lower() for phrase in _DISK_FULL)


class Server:
    """A connection to a Qdrant server; every call goes through `call`, which retries.

    Parameters
    ----------
    client
        Client of a server, or a client in local mode.
    name
        Name of the server in messages: its URL.
    sleep
        Function that waits for a number of seconds.
    """

    def __init__(
        self,
        client: QdrantClient,
        name: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client = client
        self.name = name
        self._sleep = sleep
        self._reached = False

    def call(self, method: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
        """Call the server, and call again where that may help.

        Raises
        ------
        ConfigurationError
            If the server refuses the key.
        ServiceError
            If the server cannot be reached, is full, or refuses the call.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = method(*arguments, **named)
            except Exception as error:  # the library's own, httpx's, grpc's and pydantic's
                failure = _failure(error)
                if not self._may_pass(error, failure, attempt):
                    raise self._translated(failure, attempt) from error
                self._sleep(self._pause(failure, attempt))
            else:
                self._reached = True
                return answer
        raise AssertionError  # the last attempt returned or raised

    def _may_pass(self, error: Exception, failure: _Failure, attempt: int) -> bool:
        """Whether another attempt may succeed."""
        # A server that was never reached is more likely not there than busy.
        absent = not self._reached and _is_unreachable(error) and attempt > 1
        lasting = failure.status not in _RETRIED or failure.disk_full
        too_long = failure.pause > _LONGEST_PAUSE
        return not (lasting or too_long or absent or attempt == _ATTEMPTS)

    def _pause(self, failure: _Failure, attempt: int) -> float:
        """Seconds until the next attempt."""
        pause = failure.pause or min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)
        if pause >= _LOGGED_PAUSE:
            _LOG.warning(
                "%s does not answer (%s): trying again in %.0f s", self.name, failure.reason, pause
            )
        return pause if failure.pause else pause * random.uniform(1.0, 1.5)  # noqa: S311

    def check(self) -> None:
        """Make sure that a server answers, and is new enough.

        Raises
        ------
        ServiceError
            If it does not answer, or is too old.
        """
        version = str(self.call(self.client.info).version)
        try:
            major, minor = (int(part) for part in version.split(".")[:2])
        except ValueError:
            raise ServiceError(
                f"the server at {self.name} is not a Qdrant server (its version is '{version}'): "
                "check TWOTOWER_QDRANT_URL"
            ) from None
        if (major, minor) < OLDEST:
            raise ServiceError(
                f"{self.name} runs Qdrant {version}; {OLDEST[0]}.{OLDEST[1]} or newer is needed: "
                "upgrade the server"
            )

    def _translated(self, failure: _Failure, attempts: int) -> Exception:
        status, reason, pause = failure
        if status in _UNAUTHORIZED:
            return ConfigurationError(
                f"{self.name} refused the key ({reason}): set TWOTOWER_QDRANT_API_KEY"
            )
        if failure.disk_full:
            return ServiceError(
                f"the disk of {self.name} is full ({reason}): free some space there and run again; "
                "finished documents are kept"
            )
        if status == _NOT_FOUND:
            return ServiceError(
                f"{self.name} does not know the collection or the path ({reason}): check "
                "TWOTOWER_QDRANT_URL; if a new version has replaced the collection, run again"
            )
        if pause > _LONGEST_PAUSE and attempts < _ATTEMPTS:
            return ServiceError(
                f"{self.name} asks for a pause of {pause:.0f} s: run again after that time"
            )
        if status in _RETRIED:
            return ServiceError(
                f"{self.name} cannot be reached or does not answer ({reason}; tried {attempts} "
                "times): check TWOTOWER_QDRANT_URL and that the server runs, then run again; "
                "finished documents are kept"
            )
        doubt = "" if self._reached else "; is it a Qdrant server? check TWOTOWER_QDRANT_URL"
        return ServiceError(f"{self.name} refused the call: {reason}{doubt}")


def _failure(error: Exception) -> _Failure:
    if isinstance(error, ResourceExhaustedResponse):
        return _Failure(429, str(error), float(error.retry_after_s))
    if isinstance(error, UnexpectedResponse):
        return _Failure(error.status_code or 500, _reason(error))
    # The request was not sent or not answered, or the answer was not understood.
    source = error.source if isinstance(error, ResponseHandlingException) else error
    if isinstance(source, (json.JSONDecodeError, UnicodeDecodeError, ValidationError)):
        return _Failure(502, "its answer is cut off, or not an answer of Qdrant")
    if source is not error:
        return _Failure(503, str(source) or type(source).__name__)
    if isinstance(error, grpc.RpcError):
        code = error.code().name
        status = 503 if code in _GRPC_RETRIED else _GRPC_STATUS.get(code, 400)
        return _Failure(status, error.details() or code)
    return _Failure(400, str(error) or type(error).__name__)  # local mode raises ValueError


def _is_unreachable(error: Exception) -> bool:
    """Whether no server listens at the address, or a server that is not Qdrant."""
    unreachable = (httpx.ConnectError, ValueError)
    return isinstance(error, ValueError) or isinstance(getattr(error, "source", None), unreachable)


def _reason(error: UnexpectedResponse) -> str:
    try:
        return str(error.structured()["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.status_code} {error.reason_phrase}".strip()
