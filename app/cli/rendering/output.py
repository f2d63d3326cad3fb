"""Output of every command: JSON for scripts, escaped text for people, a spinner for long waits.

Progress and errors go to standard error; standard output has only results.
"""

import contextlib
import json
import unicodedata
from collections.abc import Iterator

from rich.console import Console


def print_json(value: object) -> None:
    """Print one JSON object on standard output without delay: `--watch` prints more of them."""
    print(json.dumps(value, ensure_ascii=False, indent=2), flush=True)


@contextlib.contextmanager
def waiting(what: str, quiet: bool) -> Iterator[None]:
    """Show a spinner on a terminal during a long step."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


def printable(text: str) -> str:
    """Escape characters that control a terminal or reverse the text: names come from strangers."""
    return "".join(
        ascii(character)[1:-1] if unicodedata.category(character)[0] == "C" else character
        for character in text
    )


def harmless(text: str) -> str:
    """Replace the control characters of a passage, one by one; line breaks stay."""
    return "".join(
        "\N{SYMBOL FOR SUBSTITUTE}" if unicodedata.category(c) in ("Cc", "Cs") and c != "\n" else c
        for c in text
    )
