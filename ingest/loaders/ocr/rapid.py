"""OCR with rapidocr: the models of PP-OCRv6, which are part of its package, run by OpenVINO."""

import math
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
_GREEK = ("\u0370", "\u03ff")  # the model knows Greek without accents only


def recognise(picture: "Image") -> Recognised:
    """Recognise the text of a picture (RGB); a picture that is tilted a little is levelled.

    Raises
    ------
    MemoryError
        If the limit of memory is too low; reading a page needs about 2.2 GB of address space.
    """
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
        return Recognised()
    boxes = map_boxes_to_original(found.boxes, record, *image.shape[:2]).tolist()
    angle = _angle(boxes)
    pieces, unread = [], 0
    for box, text, score in zip(boxes, read.txts, read.scores, strict=True):
        piece = _levelled(box, text.strip(), angle, picture.size)
        known = score >= _LEAST_SCORE and any(map(str.isalnum, text))
        unread += not known if _is_wide(piece) else 0
        if known:
            unread += _is_incomplete(piece)
            pieces.append(piece)
    return Recognised(tuple(pieces), unread)


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


def _angle(boxes: list[list[list[float]]]) -> float:
    """Return by how much the lines of a page are tilted, in radians: the median of long ones."""
    angles = []
    for (x0, y0), (x1, y1), _, (x3, y3) in boxes:
        if math.hypot(x1 - x0, y1 - y0) > _WORD_SHAPE * math.hypot(x3 - x0, y3 - y0):
            angles.append(math.atan2(y1 - y0, x1 - x0))
    return sorted(angles)[len(angles) // 2] if angles else 0.0


def _levelled(box: list[list[float]], text: str, angle: float, size: tuple[int, int]) -> Piece:
    """Turn the centre of a box about the centre of the picture, and the box about its own."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = box
    height = math.hypot(x3 - x0, y3 - y0)
    half_width = max(math.hypot(x1 - x0, y1 - y0) / 2 - height * _SIDE, 1.0)
    half_height = height / 2 * _EM
    across, down = (x0 + x2 - size[0]) / 2, (y0 + y2 - size[1]) / 2
    x = size[0] / 2 + across * math.cos(angle) + down * math.sin(angle)
    y = size[1] / 2 - across * math.sin(angle) + down * math.cos(angle)
    return Piece(text, x - half_width, y - half_height, x + half_width, y + half_height)


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
