"""Text of a PDF page that is not in its text layer: filled form fields, comments and notes."""

import ctypes
from collections.abc import Iterator

import pypdfium2
import pypdfium2.raw as pdfium

from twotower.ingest.elements import Element
from twotower.retrieval.vocabulary.text import normalised

_LONGEST = 1_000_000  # bytes of one text
# Kinds of annotation whose text is drawn in the text layer, or is none.
_NO_TEXT = frozenset({pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP})


def annotations(page: pypdfium2.PdfPage, number: int) -> Iterator[Element]:
    """Yield the fields of a form that are filled in, and the comments, each as an element."""
    for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            text = _text(annotation)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)
        if text:
            yield Element(text, page=number)


def _text(annotation: pdfium.FPDF_ANNOTATION) -> str:
    kind = pdfium.FPDFAnnot_GetSubtype(annotation)
    if kind in _NO_TEXT:
        return ""
    if kind == pdfium.FPDF_ANNOT_WIDGET:
        name, value = _string(annotation, "T"), _string(annotation, "V")
        if not value or value == "Off":
            return ""
        return f"{name}: {value}" if name else value
    return _string(annotation, "Contents")


def _string(annotation: pdfium.FPDF_ANNOTATION, key: str) -> str:
    """Return a text of an annotation; a field that is split over widgets has it in its parent."""
    size = pdfium.FPDFAnnot_GetStringValue(annotation, key.encode(), None, 0)
    if not 2 < size <= _LONGEST:  # noqa: PLR2004 - two bytes end the text
        return ""
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDFAnnot_GetStringValue(
        annotation, key.encode(), ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size
    )
    text = buffer.raw[: size - 2].decode("utf-16-le", "replace")
    return " ".join(normalised(text).split())
