"""Other programs that read a file: they end with the worker process that started them."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from twotower.retrieval.vocabulary.errors import DocumentError

_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


def output_of(
    command: Sequence[str],
    data: bytes = b"",
    environment: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> str:
    """Run a program and return its standard output.

    Parameters
    ----------
    data
        Standard input.
    environment
        Variables to set beside those of this process.
    seconds
        Time after which the program is ended; ``None`` sets no limit.

    Raises
    ------
    DocumentError
        If the program fails; the last line of its standard error is the reason. ``timeout`` if it
        takes too long.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(  # noqa: S603
            command,
            input=data,
            capture_output=True,
            check=False,
            env={**os.environ, **(environment or {})},
            preexec_fn=_ending(os.getpid()) if sys.platform == "linux" else None,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise DocumentError(f"{name} took longer than {seconds:.0f} s", "timeout") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DocumentError(
            f"{name} failed ({lines[-1] if lines else done.returncode})", "malformed"
        )
    return done.stdout.decode("utf-8", "replace")


def _ending(parent: int) -> "partial[None]":
    """Return a function that lets the kernel end this process with its parent, even by SIGKILL.

    It runs between fork and exec, where locks of other threads stay locked: it only makes system
    calls, and finds the one of the C library before.
    """
    return partial(_end_with, parent, ctypes.CDLL(None).prctl)


def _end_with(parent: int, prctl: "ctypes._NamedFuncPointer") -> None:
    prctl(_END_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
