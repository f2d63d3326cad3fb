"""Word and PowerPoint: prepared so that `unstructured` loses none of their text."""

import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.number_formats import shown
from twotower.ingest.loaders.ooxml import package
from twotower.ingest.loaders.ooxml_text import completed, rescued
from twotower.ingest.loaders.unstructured import elements_of, parsed, partition

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_LISTS_OF_NOTES = frozenset({"footnotes", "endnotes", "comments"})
_NOTES = _LISTS_OF_NOTES | {"header", "footer"}
_BASES = 20  # styles that a style is based on, one after another, at most
_HEADING_WORDS = 12  # at most, of a heading that no style marks
_BODY_POINTS = 11.0  # size of letters, where a run has none of its own
_BODY_LEVEL = 9  # outline level of body text
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"


def load_docx(path: Path, limits: Limits) -> ParsedDocument:
    """Read a Word document; paragraphs with a heading style become headings of the style's level.

    Tracked insertions, content controls and text boxes are read; tracked deletions are not.
    """
    return _read(path, limits, _read_word)


def _read(
    path: Path, limits: Limits, read: Callable[[io.BytesIO], ParsedDocument]
) -> ParsedDocument:
    """Read a package with its parser; what the parser leaves out or refuses is read as well."""
    content = package(path)
    try:
        document = read(content.stream())
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the parsers raise what zip and XML parsers raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        document = rescued(content, reason)
    return completed(document, content, limits)


def _read_word(source: io.BytesIO) -> ParsedDocument:
    import docx
    from unstructured.partition.docx import partition_docx

    document = docx.Document(source)
    _unwrap(document.element.body)
    _write_equations(document.element.body)
    _fill_merged(document.element.body)
    _name_default_style(document)
    levels = _heading_levels(document) or _emphasised(document)
    notes = tuple(_notes(document))
    content = io.BytesIO()
    document.save(content)
    content.seek(0)
    partitions = partition(partition_docx, file=content)
    title = (document.core_properties.title or "").strip()
    elements = (_styled(element, levels) for element in elements_of(partitions))
    return parsed(title, iter((*elements, *notes)))


def _unwrap(body: Any) -> None:
    """Replace wrappers by their content, and put the text of boxes after their paragraph."""
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


def _write_equations(body: Any) -> None:
    """Replace equations by their symbols in a line."""
    for equation in [*body.iter(f"{_M}oMath")]:
        text = "".join(symbol.text or "" for symbol in equation.iter(f"{_M}t"))
        run = equation.makeelement(f"{_W}r")
        symbols = run.makeelement(f"{_W}t")
        symbols.text = text
        run.append(symbols)
        equation.addprevious(run)
        equation.getparent().remove(equation)
    for paragraph in [*body.iter(f"{_M}oMathPara")]:
        for child in list(paragraph):
            paragraph.addprevious(child)
        paragraph.getparent().remove(paragraph)


def _fill_merged(body: Any) -> None:
    """Give each row of a merged cell the cell's text."""
    for table in body.iter(f"{_W}tbl"):
        above: dict[int, Any] = {}
        for row in table.iter(f"{_W}tr"):
            column = 0
            for cell in row.iterchildren(f"{_W}tc"):
                span = cell.find(f"{_W}tcPr/{_W}gridSpan")
                merge = cell.find(f"{_W}tcPr/{_W}vMerge")
                if merge is not None and merge.get(f"{_W}val") != "restart" and column in above:
                    for paragraph in cell.findall(f"{_W}p"):
                        cell.remove(paragraph)
                    cell.extend(deepcopy(above[column].findall(f"{_W}p")))
                else:
                    above[column] = cell
                if merge is not None:
                    merge.getparent().remove(merge)
                value = "1" if span is None else str(span.get(f"{_W}val"))
                column += int(value) if value.isdigit() else 1


def _notes(document: Any) -> Iterator[Element]:
    """Yield footnotes, endnotes and comments, and each different header and footer once."""
    from lxml import etree

    seen = set()
    for relation in document.part.rels.values():
        kind = relation.reltype.rpartition("/")[2]
        if relation.is_external or kind not in _NOTES:
            continue
        try:
            root = etree.fromstring(relation.target_part.blob)
        except etree.XMLSyntaxError:
            continue
        _unwrap(root)
        for note in root if kind in _LISTS_OF_NOTES else [root]:
            paragraphs = (
                "".join(text.text or "" for text in paragraph.iter(f"{_W}t"))
                for paragraph in note.iter(f"{_W}p")
            )
            text = " ".join(" ".join(paragraphs).split())
            if text and text not in seen:
                seen.add(text)
                yield Element(text, "note")


def _name_default_style(document: Any) -> None:
    """Name the style of paragraphs that name none; the parser searches all styles for each."""
    from docx.enum.style import WD_STYLE_TYPE

    default = document.styles.element.default_for(WD_STYLE_TYPE.PARAGRAPH)
    if default is None or default.styleId is None:
        return
    for paragraph in document.element.body.iter(f"{_W}p"):
        if paragraph.pPr is None or paragraph.pPr.pStyle is None:
            paragraph.style = default.styleId


def _emphasised(document: Any) -> dict[str, int]:
    """Take short paragraphs in bold or large letters for headings, where no style marks any."""
    sizes: Counter[float] = Counter()
    found = {}
    for paragraph in document.paragraphs:
        runs = [run for run in paragraph.runs if run.text.strip()]
        size = min((run.font.size.pt if run.font.size else _BODY_POINTS for run in runs), default=0)
        sizes[size] += len(paragraph.text)
        text = paragraph.text.strip()
        if runs and len(text.split()) <= _HEADING_WORDS and text[-1] not in ".,;:":
            found[text] = (size, all(run.bold for run in runs))
    usual = max(sizes, key=lambda size: sizes[size], default=0.0)
    return {
        text: 1 if size > usual else 2
        for text, (size, bold) in found.items()
        if bold or size > usual
    }


def _heading_levels(document: Any) -> dict[str, int]:
    levels = {}
    known: dict[str, int] = {}
    for paragraph in document.paragraphs:
        style = paragraph.style
        if style is not None and style.style_id not in known:
            known[style.style_id] = _style_level(style)
        level = _outline(paragraph._p) or (known[style.style_id] if style is not None else 0)  # noqa: SLF001
        if level and paragraph.text.strip():
            levels[paragraph.text.strip()] = level
    return levels


def _style_level(style: Any) -> int:
    """Return the level of a heading style, or of the style that it is based on; 0 for others."""
    for _ in range(_BASES):
        if style is None:
            return 0
        if level := _outline(style.element):
            return level
        named = re.fullmatch(r"(Title)|Heading (\d)", style.name or "")
        if named:
            return 1 if named[1] else int(named[2])
        style = style.base_style
    return 0


def _outline(element: Any) -> int:
    """Return the outline level of a paragraph or a style, from 1; 0 where there is none."""
    level = element.find(f"{_W}pPr/{_W}outlineLvl")
    value = "" if level is None else str(level.get(f"{_W}val"))
    return int(value) + 1 if value.isdigit() and int(value) < _BODY_LEVEL else 0


def _styled(element: Element, levels: dict[str, int]) -> Element:
    level = levels.get(element.text.strip(), 0)
    if level and element.kind in ("heading", "text"):
        return replace(element, kind="heading", level=level)
    return replace(element, kind="text", level=0) if element.kind == "heading" else element


def load_pptx(path: Path, limits: Limits) -> ParsedDocument:
    """Read slides with their speaker notes: one page each, with the slide's title as heading."""
    return _read(path, limits, _read_slides)


def _read_slides(source: io.BytesIO) -> ParsedDocument:
    from unstructured.partition.pptx import partition_pptx

    content = source.getvalue()
    partitions = partition(partition_pptx, file=source, include_slide_notes=True)
    elements = [*elements_of(partitions), *_pictured(io.BytesIO(content))]
    pages = sorted({element.page or 0 for element in elements})
    return parsed("", (e for page in pages for e in _slide(elements, page)))


def _pictured(source: io.BytesIO) -> Iterator[Element]:
    """Yield the charts of slides as tables, and the descriptions of pictures."""
    import pptx

    for number, slide in enumerate(pptx.Presentation(source).slides, start=1):
        for shape in _shapes(slide.shapes):
            if getattr(shape, "has_chart", False):
                # python-pptx knows some kinds of charts alone; `completed` adds the words of others
                with suppress(
                    NotImplementedError, ValueError, KeyError, AttributeError, IndexError
                ):
                    yield from list(_chart(shape.chart, number))
            described = shape._element.xpath(".//*[local-name()='cNvPr']/@descr")  # noqa: SLF001
            for description in described[:1]:
                if description.strip():
                    yield Element(" ".join(description.split()), page=number)


def _shapes(shapes: Any) -> Iterator[Any]:
    for shape in shapes:
        yield shape
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)


def _chart(chart: Any, page: int) -> Iterator[Element]:
    if chart.has_title and chart.chart_title.has_text_frame:
        yield Element(chart.chart_title.text_frame.text, page=page)
    for plot in chart.plots:
        names = [str(series.name) for series in plot.series]
        rows = [" | ".join(("", *names))]
        values = [list(series.values) for series in plot.series]
        for index, category in enumerate(plot.categories):
            cells = (shown(v[index] if index < len(v) else None, None) for v in values)
            rows.append(" | ".join((str(category), *cells)))
        if len(rows) > 1:
            yield Element("\n".join(rows), "table", page=page)


def _slide(elements: list[Element], page: int) -> Iterator[Element]:
    """Yield the slide's title first, as its only heading: every short bullet looks like one."""
    slide = [element for element in elements if element.page == page]
    title = next((e for e in slide if e.kind == "heading" and e.level == 1), None)
    if title:
        yield title
    for element in slide:
        if element is not title:
            yield replace(element, kind="text", level=0) if element.kind == "heading" else element
