"""OCR with the program tesseract, which has models for about 100 languages."""

import io
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from twotower.ingest.loaders.ocr import Piece, Recognised
from twotower.ingest.loaders.programs import output_of

if TYPE_CHECKING:
    from PIL.Image import Image

_NO_LANGUAGE = frozenset({"osd", "equ"})  # data about the direction of text, and of formulas
_MOST_LANGUAGES = 8  # each one makes reading slower
_CELL_GAP = 1.8  # white space between two parts of a line, as a multiple of its height
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
    one_core = {"OMP_THREAD_LIMIT": "1"}  # of a worker process
    return output_of(["tesseract", *arguments], data, one_core)


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
