"""Time of reading and cutting by size, for content that is hard on parsers.

    .venv/bin/python -m benchmarks.growth [--suffixes .md .html] [--limit 15]

For each kind of text file, units (a letter, a digit, each ASCII sign, a Chinese character, a tag, a
line, a row of a table ...) are repeated to 10 KB and to 100 KB. Prints the units whose time grows
more than ``--limit`` times from one to the other, or that take more than 10 s, and a line for each
kind with its slowest unit.
"""

import argparse
import string
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from twotower.ingest.chunking import ChunkSettings, chunk_document
from twotower.ingest.elements import Limits
from twotower.ingest.loaders import load
from twotower.retrieval.models.bm25 import Bm25, Bm25Settings
from twotower.retrieval.models.model_folder import DEFAULT_ENCODER, find_model, load_tokenizer
from twotower.retrieval.vocabulary.errors import DocumentError

SMALL, LARGE = 10_000, 100_000  # bytes
LONGEST = 10.0  # seconds for the large one
NEGLIGIBLE = 0.05  # seconds: the growth of less is noise

FRAMES = {
    ".csv": ("a,b\n", ""),
    ".eml": ("Subject: s\nContent-Type: text/plain; charset=utf-8\n\n", "\n"),
    ".html": ("<html><body>", "</body></html>"),
    ".ipynb": (
        '{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "markdown", "source": ["',
        '"]}]}',
    ),
    ".json": ('["', '"]'),
    ".rtf": ("{\\rtf1 ", "}"),
    ".xml": ("<a>", "</a>"),
}
SUFFIXES = (
    ".csv", ".eml", ".html", ".ics", ".ini", ".ipynb", ".json", ".jsonl", ".log", ".mbox", ".md",
    ".org", ".py", ".rst", ".rtf", ".srt", ".tex", ".tsv", ".txt", ".vcf", ".vtt", ".xml", ".yaml",
)  # fmt: skip


def units() -> Iterator[str]:
    """Yield what is repeated."""
    yield from (
        "a",
        "1",
        "a1",
        "é",
        "中",
        "文字",
        "\n",
        " ",
        "\t",
        "word ",
        "A line.\n",
        "- item\n",
    )
    yield from string.punctuation
    yield from (
        "<b>",
        "<p>x",
        "<div>",
        "</div>",
        "<!--",
        "&amp;",
        "| a | b |\n",
        "a,b,c\n",
        "[a](b)",
    )
    yield from (
        "**a**",
        "> ",
        "# a\n",
        "$a$",
        "\\a{",
        "a=b\n",
        "a: b\n",
        "1.",
        "a-",
        "a_b",
        "a@b.c ",
    )
    yield from (
        "BEGIN:VEVENT\n",
        "From a\n",
        "00:00:01,000 --> 00:00:02,000\na\n\n",
        "+1 (",
        "\x1b[0m",
    )


class Measured:
    """Reads, cuts and encodes the terms of files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tokenizer = load_tokenizer(find_model(DEFAULT_ENCODER))
        self._bm25 = Bm25(Bm25Settings())

    def seconds(self, suffix: str, unit: str, size: int) -> float:
        """Return the seconds for a file of this size; a file that is refused counts as well."""
        before, after = FRAMES.get(suffix, ("", ""))
        path = self._folder / f"file{suffix}"
        path.write_text(before + unit * (size // len(unit.encode())) + after, encoding="utf-8")
        started = time.perf_counter()
        try:
            document = load(path, Limits())
            chunks = chunk_document(path.name, document, self._tokenizer, ChunkSettings(256))
            for chunk in chunks:
                self._bm25.encode_passage(chunk.encoded_text)
        except DocumentError:
            pass
        return time.perf_counter() - started


def main() -> None:
    """Print what grows too fast."""
    parser = argparse.ArgumentParser(description="Measure how the time of reading grows.")
    parser.add_argument("--suffixes", nargs="+", default=SUFFIXES)
    parser.add_argument("--limit", type=float, default=15.0)
    arguments = parser.parse_args()
    found = 0
    with tempfile.TemporaryDirectory() as place:
        measured = Measured(Path(place))
        measured.seconds(".md", "warm up ", SMALL)
        for suffix in arguments.suffixes:
            slowest = (0.0, "")
            for unit in units():
                small = measured.seconds(suffix, unit, SMALL)
                large = measured.seconds(suffix, unit, LARGE)
                growth = large / max(small, NEGLIGIBLE)
                slowest = max(slowest, (large, unit))
                if growth > arguments.limit or large > LONGEST:
                    found += 1
                    print(
                        f"{suffix} {unit!r}: {small:.2f} s, then {large:.2f} s ({growth:.0f} times)"
                    )
            print(f"{suffix}: slowest {slowest[1]!r} with {slowest[0]:.2f} s", flush=True)
    print(f"{found} grow too fast")


if __name__ == "__main__":
    main()
