"""Panics of the embedded engine, which a damaged collection can cause.

The engine is written in Rust. A panic becomes a ``pyo3_runtime.PanicException``, which is not an
`Exception`, and Rust prints a trace to file descriptor 2 before that.
"""

import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO

_LOG = logging.getLogger(__name__)
_STANDARD_ERROR = 2
_TRACE = re.compile(
    rb"\n?thread '[^'\n]*'(?: \(\d+\))? panicked at [^\n]*\n"
    rb"[^\n]*\n?(?:[ \t]+[^\n]*\n?)*"  # the message; what an assertion compared is indented
    rb"(?:stack backtrace:\n(?:[ \t]+[^\n]*\n?)*)?"
    rb"(?:note: [^\n]*\n?)*"
)


def is_panic(error: BaseException) -> bool:
    """Whether an exception is a panic of the engine."""
    return type(error).__module__ == "pyo3_runtime"


@contextmanager
def no_traces() -> Iterator[None]:
    """Keep the traces of panics off standard error, and log them at level DEBUG.

    Standard error goes to a temporary file for that time. What other threads write there is written
    to standard error at the end, so nothing of it is lost; a process that another thread starts in
    that time keeps the file as its standard error. So this is for opening a collection, which takes
    a moment, and not for every call.
    """
    _redirection.begin()
    try:
        yield
    finally:
        _redirection.end()


class _Redirection:
    """Standard error in a file, from the first thread that needs it to the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._file: IO[bytes] | None = None
        self._standard_error = -1

    def begin(self) -> None:
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            try:
                self._standard_error = os.dup(_STANDARD_ERROR)
            except OSError:  # there is no standard error
                return
            try:
                self._file = TemporaryFile(buffering=0)  # noqa: SIM115 - closed by `end`
            except OSError:  # no space for a file: a trace may be printed
                os.close(self._standard_error)
                return
            _flush()
            os.dup2(self._file.fileno(), _STANDARD_ERROR)

    def end(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users or self._file is None:
                return
            _flush()
            os.dup2(self._standard_error, _STANDARD_ERROR)
            os.close(self._standard_error)
            with self._file as file:
                self._file = None
                file.seek(0)
                written = file.read()
        for trace in _TRACE.findall(written):
            _LOG.debug("the embedded engine panicked: %s", trace.decode(errors="replace").strip())
        _write(_TRACE.sub(b"", written))


def _flush() -> None:
    with suppress(AttributeError, OSError, ValueError):  # None, broken or closed
        sys.stderr.flush()


def _write(content: bytes) -> None:
    with suppress(OSError):  # nobody reads it any more
        while content:
            content = content[os.write(_STANDARD_ERROR, content) :]


_redirection = _Redirection()
