"""Parts that every command shares: groups, common options, errors and exit codes."""

import contextlib
import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

import typer

from twotower.retrieval.vocabulary.errors import TwoTowerError

Command = TypeVar("Command", bound=Callable[..., None])

CollectionOption = Annotated[
    str | None,
    typer.Option("--collection", "-c", help="Name of the collection.  [default: documents]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

INTERRUPTED = 130
_BUG = 70  # sysexits.h: internal software error
_CONFIG: ContextVar[str | None] = ContextVar("config", default=None)
_PIPE_CLOSED = 141  # the code that a shell shows for SIGPIPE


def command_group(**details: Any) -> typer.Typer:
    """Make a group of commands; ``details`` as for `typer.Typer`."""
    return typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        **details,
    )


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Turn every error into one line on standard error and the right exit code."""
    try:
        yield
    except TwoTowerError as error:
        complain(str(error))
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_PIPE_CLOSED) from None
    except SystemExit as error:  # Rich raises it for a closed pipe, with the code 1
        if isinstance(error.__context__, BrokenPipeError):
            raise typer.Exit(_PIPE_CLOSED) from None
        raise
    except KeyboardInterrupt:
        complain("stopped; finished documents are kept, run the same command to continue")
        raise typer.Exit(INTERRUPTED) from None
    except typer.Exit:
        raise
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user
        complain(f"this is a bug in twotower: {type(error).__name__}: {error}")
        raise typer.Exit(_BUG) from None


def reported(command: Command) -> Command:
    """Run a command in `reporting`."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        with reporting():
            command(*arguments, **options)

    return run  # type: ignore[return-value]


def choose_config(file: str | None) -> None:
    """Set the file of settings for this run; ``None`` looks for ``twotower.toml``."""
    _CONFIG.set(file)


def chosen_config() -> str | None:
    """Return the file of settings that `--config` names."""
    return _CONFIG.get()


@contextlib.contextmanager
def interrupted_gently() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request to stop soon; the second one stops at once."""
    requested = threading.Event()

    def request(_signal: int, _frame: object) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()
        print("stopping after the work in progress; Ctrl-C again stops at once", file=sys.stderr)

    before = signal.signal(signal.SIGINT, request)
    try:
        yield requested.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def report_notes() -> None:
    """Print what the program logs (a long wait, a model that is compiled) as notes on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("note: %(message)s"))
    log = logging.getLogger("twotower")
    log.addHandler(handler)
    log.propagate = False


def complain(message: str) -> None:
    """Print an error on standard error, in one line."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
