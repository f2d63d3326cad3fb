"""Pictures: photographs, screenshots and scans, whose text OCR recognises."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders import ocr
from twotower.ingest.loaders.pdf.scan import elements_of_pieces, pages_named
from twotower.retrieval.vocabulary.errors import DocumentError

if TYPE_CHECKING:
    from PIL.Image import Image

_TOO_MANY_PIXELS = 80_000_000
_SUBFILE_TYPE = 254  # tag of a TIFF; 1: the frame is a smaller copy of another one


def load_picture(path: Path, limits: Limits) -> ParsedDocument:
    """Recognise the text of a picture; a TIFF can have several pages.

    Raises
    ------
    DocumentError
        ``no-text`` if OCR is not available, ``malformed`` or ``too-large``.
    """
    if not ocr.engines(limits.ocr):
        raise DocumentError(f"a picture has no text layer: {ocr.remedy(limits.ocr)}", "no-text")
    from PIL import Image, UnidentifiedImageError

    elements: list[Element] = []
    in_part: dict[int, int] = {}  # lines by page
    pages = 0
    try:
        with Image.open(path) as picture:
            for frame in _frames(picture, limits):
                pages += 1
                recognised = ocr.recognise(frame, limits)
                elements += elements_of_pieces(recognised.pieces, pages)
                if recognised.unread:
                    in_part[pages] = recognised.unread
    except Image.DecompressionBombError as error:
        raise DocumentError("the picture is too large: scale it down", "too-large") from error
    except (UnidentifiedImageError, OSError, EOFError) as error:
        raise DocumentError(
            f"the file cannot be read as a picture ({error})", "malformed"
        ) from error
    if in_part and not elements:
        raise DocumentError(ocr.incomplete(sum(in_part.values())), "no-text")
    several = pages > 1
    plain = (replace(e, page=e.page if several else None, lines=()) for e in elements)
    warnings: tuple[str, ...] = ()
    if in_part:
        place = f"{pages_named([*in_part])}: " if several else ""
        warnings = (place + ocr.incomplete(sum(in_part.values())),)
    return ParsedDocument(path.stem, tuple(plain), pages if several else None, warnings=warnings)


def _frames(picture: "Image", limits: Limits) -> Iterator["Image"]:
    """Yield the pages of a TIFF, and only the first frame of an animation."""
    from PIL.TiffImagePlugin import TiffImageFile

    if not isinstance(picture, TiffImageFile):
        yield _upright(picture)
        return
    if picture.n_frames > limits.max_pages:
        raise DocumentError(
            f"the picture has {picture.n_frames} pages; the limit is {limits.max_pages} "
            "(TWOTOWER_MAX_PAGES)",
            "too-large",
        )
    for index in range(picture.n_frames):
        picture.seek(index)
        if not picture.tag_v2.get(_SUBFILE_TYPE, 0) & 1:
            yield _upright(picture)


def _upright(picture: "Image") -> "Image":
    """Turn a picture as its camera says, and put it on white in 8 bits for each colour."""
    from PIL import Image, ImageOps

    if picture.width * picture.height > _TOO_MANY_PIXELS:
        size = f"{picture.width} x {picture.height}"
        raise DocumentError(f"the picture is too large ({size} pixels): scale it down", "too-large")
    turned = ImageOps.exif_transpose(picture)
    if turned.mode.startswith("I"):  # 16 bits for each pixel
        return turned.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if not turned.has_transparency_data:
        return turned.convert("RGB")
    white = Image.new("RGBA", turned.size, "white")
    return Image.alpha_composite(white, turned.convert("RGBA")).convert("RGB")
