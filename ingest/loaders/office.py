"""Word and PowerPoint: prepared so that `unstructured` loses none of their text."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ingest.elements import Element, Limits, ParsedDocument
from ingest.loaders.unstructured import elements_of, parsed, partition
from retrieval.errors import DocumentError

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"


def load_docx(path: Path, _limits: Limits) -> ParsedDocument:
    """Word: headings are the paragraphs with a heading style, at the style's level.

    What was inserted with changes tracked, content controls and text boxes are read; what was
    deleted is not.
    """
    import docx  # noqa: PLC0415 - 0.2 s

    try:
        document = docx.Document(str(path))
    except Exception as error:  # python-docx raises what its zip and XML parsers raise
        raise DocumentError(f"not a valid Word document ({error})", "malformed") from error
    _unwrap(document.element.body)
    levels = _heading_levels(document)
    content = io.BytesIO()
    document.save(content)
    content.seek(0)
    partitions = partition("docx", {"file": content})
    title = (document.core_properties.title or "").strip()
    if not levels:
        return parsed(title, elements_of(partitions, "guessed"))
    return parsed(title, (_styled(e, levels) for e in elements_of(partitions, "marked")))


def _unwrap(body: Any) -> None:
    """Put the text of wrappers where the wrappers stand, and of boxes after their paragraph."""
    for element in [*body.iter(f"{_W}del", f"{_W}moveFrom", _FALLBACK)]:
        element.getparent().remove(element)
    for box in [*body.iter(f"{_W}txbxContent")]:
        host = next(box.iterancestors(f"{_W}p"), None)
        if host is not None:
            for paragraph in reversed(list(box)):
                host.addnext(paragraph)
    for element in [*body.iter(f"{_W}ins", f"{_W}moveTo", f"{_W}smartTag", f"{_W}sdt")]:
        content = element.find(f"{_W}sdtContent") if element.tag == f"{_W}sdt" else element
        for child in list(content) if content is not None else ():
            element.addprevious(child)
        element.getparent().remove(element)


def _heading_levels(document: Any) -> dict[str, int]:
    levels = {}
    for paragraph in document.paragraphs:
        name = paragraph.style.name if paragraph.style else ""
        style = re.fullmatch(r"(Title)|Heading (\d)", name or "")
        if style and paragraph.text.strip():
            levels[paragraph.text.strip()] = 1 if style[1] else int(style[2])
    return levels


def _styled(element: Element, levels: dict[str, int]) -> Element:
    level = levels.get(element.text.strip(), 0)
    if level and element.kind in ("heading", "text"):
        return replace(element, kind="heading", level=level)
    return replace(element, kind="text", level=0) if element.kind == "heading" else element


def load_pptx(path: Path, _limits: Limits) -> ParsedDocument:
    """Slides: one page each, headed by the slide's title, with the speaker's notes."""
    partitions = partition("pptx", {"filename": str(path)}, include_slide_notes=True)
    elements = list(elements_of(partitions, "marked"))
    pages = sorted({element.page or 0 for element in elements})
    return parsed("", (e for page in pages for e in _slide(elements, page)))


def _slide(elements: list[Element], page: int) -> Iterator[Element]:
    """The slide's title first, and no other heading: every short bullet looks like one."""
    slide = [element for element in elements if element.page == page]
    title = next((e for e in slide if e.kind == "heading" and e.level == 1), None)
    if title:
        yield title
    for element in slide:
        if element is not title:
            yield replace(element, kind="text", level=0) if element.kind == "heading" else element
