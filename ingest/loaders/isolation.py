"""Parsing in worker processes: a parser that hangs, swallows memory or aborts costs one file."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from types import TracebackType
from typing import Any, Self

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from retrieval.errors import DocumentError


class Workers:
    """A pool of processes that read documents.

    Parameters
    ----------
    count
        How many.
    seconds
        The most that one file may take; then its worker is killed.
    memory_mb
        The most address space of one worker, in MiB, where the system can limit it.
    parsers
        Whether workers start with the parsers loaded: seconds once, for many files.
    """

    def __init__(self, count: int, seconds: float, memory_mb: int, *, parsers: bool = True) -> None:
        context: Any = multiprocessing.get_context("forkserver" if parsers else "spawn")
        if parsers:
            context.set_forkserver_preload(["ingest.loaders.preload"])
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._pool = ProcessPool(
            max_workers=count, context=context, initializer=_begin, initargs=(memory_mb,)
        )

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "ProcessFuture[Any]":
        """Start ``function(*arguments)`` in a worker as soon as one is free."""
        return self._pool.schedule(function, args=list(arguments), timeout=self._seconds)

    def result(self, future: "ProcessFuture[Any]") -> Any:
        """Wait for what a worker returns.

        Raises
        ------
        DocumentError
            What the worker raised, or ``timeout``, ``memory``, ``crashed``, ``unreadable``.
        """
        try:
            return future.result()
        except DocumentError:
            raise
        except FutureTimeout as error:
            raise DocumentError(
                f"reading it took longer than {self._seconds:g} s (TWOTOWER_PARSE_SECONDS)",
                "timeout",
            ) from error
        except MemoryError as error:
            raise DocumentError(
                f"reading it needs more than {self._memory_mb} MB (TWOTOWER_PARSE_MEMORY_MB)",
                "memory",
            ) from error
        except ProcessExpired as error:
            raise DocumentError(
                f"the parser crashed on it (exit code {error.exitcode}): the file is malformed",
                "crashed",
            ) from error
        except OSError as error:
            raise DocumentError(f"cannot be read: {error.strerror or error}") from error
        except Exception as error:  # the per-file boundary: whatever a parser raises
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise DocumentError(
                f"the parser failed on it ({type(error).__name__}: {reason})", "malformed"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._pool.close()  # type: ignore[no-untyped-call]
        else:
            self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()


def _begin(memory_mb: int) -> None:
    """Limit the worker's memory, and keep what parsers print away from the person's terminal.

    Ctrl-C reaches every process of a terminal; what it means is the main process's to decide.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    try:
        import resource  # noqa: PLC0415 - not on Windows

        size = memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ImportError, ValueError, OSError):
        return  # the system has no such limit; the time limit still holds
