"""What every command shares: the program, its common options, and how it ends."""

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from retrieval.errors import TwoTowerError

if TYPE_CHECKING:
    from app.wiring import Application

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Semantic search over your own documents, with citations.",
    epilog="Exit codes: 0 done; 1 some files failed; 2 wrong usage or settings; 3 not available.",
)

Command = TypeVar("Command", bound=Callable[..., None])
CollectionOption = Annotated[
    str | None,
    typer.Option("--collection", "-c", help="The collection.  [default: documents]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")]

FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        "-f",
        metavar="KEY=VALUE",
        help="Search only there: type=pdf, source=policies/**, page=3..7, modified>=2025-01-01, "
        "author!=Ann. Several have to hold together.",
    ),
]

_BUG = 70  # sysexits.h: internal software error
INTERRUPTED = 130
_PIPE_CLOSED = 141  # what a shell shows for SIGPIPE


def reported(command: Command) -> Command:
    """Turn every error into one line on standard error and the right exit code."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except TwoTowerError as error:
            complain(str(error))
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:  # who reads our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(_PIPE_CLOSED) from None
        except KeyboardInterrupt:
            complain("stopped; what was committed stays, run the same command to go on")
            raise typer.Exit(INTERRUPTED) from None
        except typer.Exit:
            raise
        except Exception as error:  # noqa: BLE001 - no traceback reaches a user
            complain(f"this is a bug in twotower: {type(error).__name__}: {error}")
            raise typer.Exit(_BUG) from None

    return run  # type: ignore[return-value]


def load_application(**chosen: str | int | None) -> "Application":
    """Put the program together from its settings; ``chosen`` ones that are not None win."""
    from app.settings import load_settings  # noqa: PLC0415 - --help and wrong usage need neither
    from app.wiring import Application  # noqa: PLC0415 - as above

    return Application(load_settings(None, **chosen))


@contextlib.contextmanager
def interrupted_gently() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request to stop soon; the second one stops at once."""
    asked = threading.Event()

    def ask(_signal: int, _frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        print("stopping after what is in hand; Ctrl-C again stops at once", file=sys.stderr)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def complain(message: str) -> None:
    """Say on standard error, in one line, what is wrong."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
