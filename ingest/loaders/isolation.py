"""Parsing in worker processes: a parser that hangs, runs out of memory or aborts costs one file."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Self

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from twotower.ingest.loaders import Format, register, registered
from twotower.retrieval.vocabulary.errors import DocumentError

if sys.platform == "linux":
    import fcntl


LOADERS = "twotower.ingest.reading"
PARSERS = "twotower.ingest.loaders.preload"  # those of `unstructured`, which take 1 s to import


class Workers:
    """A pool of processes that read documents.

    Parameters
    ----------
    count
        Number of processes.
    seconds
        Maximum time for one file; after it, the worker is killed.
    memory_mb
        Maximum address space of one worker, in MiB, if the system can limit it.
    preload
        Modules that are imported once, before the workers start. Without any, workers know only
        the formats of this package.
    """

    def __init__(
        self, count: int, seconds: float, memory_mb: int, preload: Sequence[str] = (LOADERS,)
    ) -> None:
        context: Any = multiprocessing.get_context("forkserver" if preload else "spawn")
        if preload:
            context.set_forkserver_preload([*preload])
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._pool = ProcessPool(
            max_workers=count,
            context=context,
            initializer=_start_worker,
            initargs=(memory_mb, registered() if preload else ()),
        )

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "ProcessFuture[Any]":
        """Start ``function(*arguments)`` in a worker as soon as one is free."""
        return self._pool.schedule(
            _with_limit, args=[self._seconds, function, *arguments], timeout=self._seconds
        )

    def result(self, future: "ProcessFuture[Any]") -> Any:
        """Wait for the result of a worker.

        Raises
        ------
        DocumentError
            The error that the worker raised, or ``timeout``, ``memory``, ``crashed``,
            ``unreadable`` or ``malformed``.
        """
        try:
            return future.result()
        except DocumentError:
            raise
        except FutureTimeout as error:
            raise DocumentError(
                f"reading the file took longer than {self._seconds:g} s (TWOTOWER_PARSE_SECONDS)",
                "timeout",
            ) from error
        except MemoryError as error:
            raise DocumentError(
                f"reading the file needs more than {self._memory_mb} MB of memory "
                "(TWOTOWER_PARSE_MEMORY_MB)",
                "memory",
            ) from error
        except ProcessExpired as error:
            raise DocumentError(
                f"the parser crashed (exit code {error.exitcode}): the file is malformed",
                "crashed",
            ) from error
        except OSError as error:
            raise DocumentError(f"the file cannot be read: {error.strerror or error}") from error
        except Exception as error:  # the per-file boundary: whatever a parser raises
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise DocumentError(
                f"the parser failed ({type(error).__name__}: {reason})", "malformed"
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


def _with_limit(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function with a limit of processor time that is well above its time limit.

    The main process ends a worker that takes too long; this limit is for one that it cannot end.
    """
    with suppress(ImportError, ValueError, OSError):
        import resource  # not on Windows

        used = time.process_time()
        limit = int(used + 2 * seconds * (os.cpu_count() or 1)) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    return function(*arguments)


def _end_with_parent() -> None:
    """End this process at once when the main process ends, whatever it does at that moment.

    The main process holds one end of a pipe. On Linux the kernel sends SIGIO when that end closes,
    and SIGIO ends the process, also inside a loop of a library that never returns to Python.
    Elsewhere a thread waits for it.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    pipe = parent.sentinel

    def watch(seconds: float | None) -> None:
        if wait([pipe], seconds):
            os._exit(1)

    if sys.platform == "linux":
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
        watch(0)  # it may have ended before the kernel was told
    else:
        threading.Thread(target=watch, args=(None,), daemon=True).start()


def _start_worker(memory_mb: int, formats: tuple[Format, ...]) -> None:
    """Register formats, limit the worker's memory, and hide the output of parsers.

    Ctrl-C reaches every process of a terminal; only the main process acts on it.
    """
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for added in formats:
        register(added)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(null, stream)
    try:
        import resource  # not on Windows

        size = memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ImportError, ValueError, OSError):
        return  # the system has no such limit; the time limit still applies
