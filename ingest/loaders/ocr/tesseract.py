"""OCR with the program tesseract, which has models for about 100 languages."""

import ctypes
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache, partial
from itertools import groupby
from typing import TYPE_CHECKING

from twotower.ingest.loaders.ocr import Piece, Recognised
from twotower.retrieval.vocabulary.errors import DocumentError

if TYPE_CHECKING:
    from PIL.Image import Image

_NO_LANGUAGE = frozenset({"osd", "equ"})  # data about the direction of text, and of formulas
_MOST_LANGUAGES = 8  # each one makes reading slower
_CELL_GAP = 1.8  # white space between two parts of a line, as a multiple of its height
_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
_WORD = 5  # level of a word in tesseract's table


def recognise(picture: "Image", languages: str) -> Recognised:
    """Recognise the text of a picture (RGB).

    Parameters
    ----------
    languages
        Languages as tesseract names them, such as ``eng+rus``; if empty, those installed.

    Raises
    ------
    DocumentError
        If tesseract fails, for instance because the data of a language is missing.
    """
    data = io.BytesIO()
    picture.save(data, "PPM")
    table = _run(
        "stdin", "stdout", "-l", languages or "+".join(used()), "tsv", data=data.getvalue()
    )
    return Recognised(tuple(_pieces(table)))


def knows_more(languages: str) -> bool:
    """Whether tesseract reads other languages than English."""
    return bool(set(languages.split("+") if languages else used()) - {"eng"})


@cache
def installed() -> tuple[str, ...]:
    """List the languages whose data is installed."""
    names = (line.strip() for line in _run("--list-langs").splitlines()[1:])
    return tuple(sorted(name for name in names if name and name not in _NO_LANGUAGE))


def used() -> tuple[str, ...]:
    """List the languages to read: all that are installed, or English if they are too many."""
    names = installed()
    return names if 0 < len(names) <= _MOST_LANGUAGES else ("eng",)


def _run(*arguments: str, data: bytes = b"") -> str:
    done = subprocess.run(  # noqa: S603
        ["tesseract", *arguments],  # noqa: S607
        input=data,
        capture_output=True,
        check=False,
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},  # a worker process has one core
        preexec_fn=_ending(os.getpid()) if sys.platform == "linux" else None,
    )
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DocumentError(f"tesseract failed ({lines[-1] if lines else done.returncode})")
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


def _pieces(table: str) -> Iterator[Piece]:
    """Join the words of each line in tesseract's table, apart from wide gaps."""
    rows = (row.split("\t") for row in table.splitlines()[1:])
    words = (row for row in rows if int(row[0]) == _WORD and row[-1].strip())
    for _, line in groupby(words, key=lambda row: row[1:5]):  # page, block, paragraph, line
        piece: Piece | None = None
        for row in line:
            left, top, width, height = map(float, row[6:10])
            word = Piece(row[-1].strip(), left, top, left + width, top + height)
            if piece and word.left - piece.right <= _CELL_GAP * (piece.bottom - piece.top):
                piece = _joined(piece, word)
            else:
                if piece:
                    yield piece
                piece = word
        if piece:
            yield piece


def _joined(piece: Piece, word: Piece) -> Piece:
    return Piece(
        f"{piece.text} {word.text}",
        piece.left,
        min(piece.top, word.top),
        word.right,
        max(piece.bottom, word.bottom),
    )
