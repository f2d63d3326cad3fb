"""OCR with rapidocr: the models of PP-OCRv6, which are part of its package, run by OpenVINO."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from twotower.ingest.loaders.ocr import Piece, Recognised

if TYPE_CHECKING:
    from PIL.Image import Image

_LONGEST_SIDE = 1600  # pixels; A4 at 137 dpi, which is enough for letters of 7 points
_EM = 0.8  # font size as a share of the height of a box, which has a margin
_SIDE = 0.15  # margin at each end of a line, as a share of the height of its box
_LEAST_SCORE = 0.5  # from 0 to 1; rapidocr's own default
# A box of the shape 3 : 1 holds a word. Latin text has about 2 letters for each height of its box,
# Chinese more than 1; a line with less has letters that the model does not know, such as Cyrillic.
_WORD_SHAPE = 3
_FEWEST_LETTERS = 0.5
# Median score of the lines of a page: 0.83 to 0.99 if it is upright, also in unknown letters, and
# 0.66 to 0.70 if it is upside down (benchmarks.ocr's clean pages in English, Greek and Russian).
_UPRIGHT = 0.8
_TALL = 1.5  # height of a box as a multiple of its width; rapidocr's own value
_GREEK = ("\u0370", "\u03ff")  # the model knows Greek without accents only


@dataclass(frozen=True, slots=True)
class _Line:
    """A line: its corners from the upper left clockwise, its text, and a score from 0 to 1."""

    corners: list[list[float]]
    text: str
    score: float

    @property
    def width(self) -> float:
        return math.dist(self.corners[0], self.corners[1])

    @property
    def height(self) -> float:
        return math.dist(self.corners[0], self.corners[3])


def recognise(picture: "Image") -> Recognised:
    """Recognise the text of a picture (RGB), which is turned and levelled if its lines need it.

    Raises
    ------
    MemoryError
        If the limit of memory is too low; reading a page needs about 2.2 GB of address space.
    """
    lines, turns = _read(picture), 0
    if lines and (needed := _turns(lines)):
        turned = picture.rotate(90 * needed, expand=True)
        upright = _read(turned)
        if _score(upright) >= _UPRIGHT:
            picture, lines, turns = turned, upright, needed
    angle = _angle(lines)
    pieces, unread = [], 0
    for line in lines:
        piece = _levelled(line, angle, picture.size)
        if line.score >= _LEAST_SCORE and any(map(str.isalnum, line.text)):
            unread += _is_incomplete(piece)
            pieces.append(piece)
        else:
            unread += _is_wide(piece)
    return Recognised(tuple(pieces), unread, turns)


def _read(picture: "Image") -> list[_Line]:
    import numpy as np
    from rapidocr.utils.process_img import map_boxes_to_original

    image = np.ascontiguousarray(np.asarray(picture)[..., ::-1])  # rapidocr expects BGR
    engine = _engine()
    reduced, record = engine.preprocess_img(image)
    try:
        found, _, read, _ = engine.run_ocr_steps(reduced, record)
    except (IndexError, ValueError) as error:  # OpenVINO returns nothing if it gets no memory
        raise MemoryError from error
    if found.boxes is None or read.txts is None:
        return []
    boxes = map_boxes_to_original(found.boxes, record, *image.shape[:2]).tolist()
    return [
        _Line(corners, text.strip(), score)
        for corners, text, score in zip(boxes, read.txts, read.scores, strict=True)
    ]


def _turns(lines: Sequence[_Line]) -> int:
    """Return how many quarter turns anticlockwise make a picture upright, if it is not.

    rapidocr turns a box that is tall by a quarter before it reads it.
    """
    tall = sum(line.height > line.width * _TALL for line in lines)
    readable = _score(lines) >= _UPRIGHT
    if tall * 2 > len(lines):
        return 1 if readable else 3
    return 0 if readable else 2


def _score(lines: Sequence[_Line]) -> float:
    return statistics.median(line.score for line in lines) if lines else 0.0


@cache
def _engine() -> Any:
    """Load the models, with one thread: each worker process reads a file of its own."""
    import cv2
    from rapidocr import EngineType, RapidOCR
    from rapidocr.inference_engine.openvino import main as inference
    from rapidocr.inference_engine.openvino.device_config import CPUConfig

    class Config(CPUConfig):
        """Keeps no code for the shapes of lines seen before: each is new, and memory would grow."""

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "CPU_RUNTIME_CACHE_CAPACITY": "0"}

    inference.CPUConfig = Config  # type: ignore[attr-defined]
    cv2.setNumThreads(1)
    engine = {f"{part}.engine_type": EngineType.OPENVINO for part in ("Det", "Rec")}
    return RapidOCR(
        params={
            **engine,
            "EngineConfig.openvino.inference_num_threads": 1,
            "EngineConfig.openvino.enable_cpu_pinning": False,  # all workers would share a core
            "Global.log_level": "critical",
            "Global.use_cls": False,  # it turns clean lines upside down
            "Global.max_side_len": _LONGEST_SIDE,
            "Rec.rec_batch_num": 1,  # several lines at once need more memory, and no less time
        }
    )


def _angle(lines: Sequence[_Line]) -> float:
    """Return by how much the lines of a page are tilted, in radians: the median of long ones."""
    angles = []
    for line in lines:
        if line.width > _WORD_SHAPE * line.height:
            (x0, y0), (x1, y1) = line.corners[:2]
            angles.append(math.atan2(y1 - y0, x1 - x0))
    return statistics.median(angles) if angles else 0.0


def _levelled(line: _Line, angle: float, size: tuple[int, int]) -> Piece:
    """Turn the centre of a line about the centre of the picture, and its box about its own."""
    (x0, y0), _, (x2, y2), _ = line.corners
    half_width = max(line.width / 2 - line.height * _SIDE, 1.0)
    half_height = line.height / 2 * _EM
    across, down = (x0 + x2 - size[0]) / 2, (y0 + y2 - size[1]) / 2
    x = size[0] / 2 + across * math.cos(angle) + down * math.sin(angle)
    y = size[1] / 2 - across * math.sin(angle) + down * math.cos(angle)
    return Piece(line.text, x - half_width, y - half_height, x + half_width, y + half_height)


def _is_wide(piece: Piece) -> bool:
    return piece.right - piece.left > _WORD_SHAPE * (piece.bottom - piece.top)


def _is_incomplete(piece: Piece) -> bool:
    """Whether a text has less letters than its box has room for, or Greek ones."""
    letters = [character for character in piece.text if character.isalnum()]
    room = (piece.right - piece.left) / (piece.bottom - piece.top)
    greek = sum(_GREEK[0] <= letter <= _GREEK[1] for letter in letters)
    return greek * 2 > len(letters) or (
        _is_wide(piece) and len(piece.text.replace(" ", "")) < room * _FEWEST_LETTERS
    )
