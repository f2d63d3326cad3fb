"""OCR of scanned pages and pictures: the choice of an engine, and what an engine returns.

rapidocr comes with twotower and reads Latin letters, Chinese and Japanese. tesseract is used if a
setting asks for it, or if it is installed with the data of languages that rapidocr does not know.
"""

import shutil
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from twotower.ingest.elements import Limits

if TYPE_CHECKING:
    from PIL.Image import Image

_REMEDIES = {
    "none": "OCR is off: set TWOTOWER_OCR=auto, or run OCR on the file first",
    "tesseract": "install tesseract, set TWOTOWER_OCR=auto, or run OCR on the file first",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A line of text or a part of one, and its box in pixels, with the origin at the upper left."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Recognised:
    """The pieces of text in a picture, in any order.

    ``unread`` is the number of lines that contain letters which the engine does not know; what it
    read of them is among the pieces. The boxes are those of the picture after ``turns`` quarter
    turns anticlockwise, which make it upright.
    """

    pieces: tuple[Piece, ...] = ()
    unread: int = 0
    turns: int = 0


def engines(choice: str) -> tuple[str, ...]:
    """List the engines that a choice (`Limits.ocr`) allows and that are installed, best first."""
    installed = []
    if find_spec("rapidocr") is not None:
        installed.append("rapidocr")
    if shutil.which("tesseract") is not None:
        installed.append("tesseract")
    return tuple(name for name in installed if choice in ("auto", name))


def remedy(choice: str) -> str:
    """Return what helps if `engines` lists none."""
    return _REMEDIES.get(choice, "install rapidocr or tesseract, or run OCR on the file first")


def incomplete(lines: int) -> str:
    """Describe lines that contain letters which the engine does not know."""
    return (
        f"{lines} line{'s' if lines > 1 else ''} could not be read in full (for letters other than "
        "Latin, Chinese and Japanese, install tesseract with the data of their language)"
    )


def recognise(picture: "Image", limits: Limits) -> Recognised:
    """Recognise the text of a picture (RGB).

    With the choice ``auto``, tesseract reads the pictures that rapidocr cannot read, if it is
    installed with the data of other languages than English.

    Raises
    ------
    DocumentError
        If tesseract fails.
    """
    from twotower.ingest.loaders.ocr import rapid, tesseract

    names = engines(limits.ocr)
    if not names:
        return Recognised()
    if names[0] == "tesseract":
        return tesseract.recognise(picture, limits.ocr_languages)
    recognised = rapid.recognise(picture)
    if recognised.unread and "tesseract" in names and tesseract.knows_more(limits.ocr_languages):
        upright = picture.rotate(90 * recognised.turns, expand=True)
        read = tesseract.recognise(upright, limits.ocr_languages)
        return replace(read, turns=recognised.turns)
    return recognised
