"""The text of Word, PowerPoint and Excel packages that their parsers leave out.

Parsers read the places that they know. A package has text in many more: comments, text boxes,
charts, diagrams, headers, drop-down lists, descriptions of pictures, layouts, embedded files. This
module reads every part of a package, whatever its kind, and adds what the parser did not find.
"""

import posixpath
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.ooxml import UNREADABLE, Package
from twotower.ingest.loaders.parts import load_part
from twotower.retrieval.vocabulary.errors import DocumentError
from twotower.retrieval.vocabulary.text import normalised

_PARTS_WITHOUT_TEXT = re.compile(
    r"/theme/|styles|/settings\.xml|fonttable|notesmaster|handoutmaster|docprops/|/numbering"
    r"|websettings|customxml|printersettings|calcchain|pivotcache|/persons/|content_types",
    re.IGNORECASE,
)
_TEMPLATES = re.compile(r"/slide(?:layout|master)s/", re.IGNORECASE)
_PARAGRAPHS = frozenset({"p", "si", "is", "text", "v", "name", "textbox"})
_SHEET_MARGINS = frozenset(
    {"oddHeader", "oddFooter", "evenHeader", "evenFooter", "firstHeader", "firstFooter"}
)
# Text in attributes, by element and attribute: descriptions of pictures, choices of lists, names of
# sheets and columns, hints on cells, WordArt.
_ATTRIBUTES = {
    "cNvPr": ("title", "descr"),
    "docPr": ("title", "descr"),
    "shape": ("alt",),
    "textpath": ("string",),
    "listItem": ("displayText",),
    "listEntry": ("val",),
    "sheet": ("name",),
    "tableColumn": ("name", "totalsRowLabel"),
    "dataValidation": ("promptTitle", "prompt"),
}
_NOT_SHOWN = frozenset({"del", "moveFrom", "delText", "rPh"})  # deletions; pronunciations in Excel
_CODES = re.compile(r'&(?:"[^"]*"|K[\dA-F]{6}|\d+|[A-Za-z&])')
_WORD = re.compile(r"[^\W_]{3,}")
_SPACES = frozenset({"tab", "br", "cr", "ptab"})
_THREADED = "[Threaded comment]"  # begins a copy of the comment for old versions of Excel
_EMBEDDED = ("/package", "/oleObject")  # ends of the types of relations to embedded files
_MOST_NAMES = 5  # in one warning


def completed(document: ParsedDocument, package: Package, limits: Limits) -> ParsedDocument:
    """Add the paragraphs of a package that have words which the document lacks, as notes.

    On a slide they follow the text of their slide. Embedded files that a loader reads come last,
    each under its name.
    """
    known = {word for element in document.elements for word in _words(element.text)}
    warnings = [*package.warnings, *document.warnings]
    with zipfile.ZipFile(package.stream()) as archive:
        elements = sorted((*document.elements, *_unknown(_notes(archive), known)), key=_page)
        elements += _embedded(archive, limits, warnings)
    return replace(document, elements=tuple(elements), warnings=tuple(warnings))


def rescued(package: Package, reason: str) -> ParsedDocument:
    """Read the paragraphs of a package that its parser refuses.

    Raises
    ------
    DocumentError
        ``malformed``, with the parser's reason, if there are none.
    """
    with zipfile.ZipFile(package.stream()) as archive:
        elements = [replace(note, kind="text") for note in dict.fromkeys(_notes(archive))]
    if not elements:
        raise DocumentError(f"the file cannot be read ({reason})", "malformed")
    warning = f"headings and tables: not read, because the file is unusual ({reason})"
    return ParsedDocument("", tuple(elements), warnings=(warning,))


def _page(element: Element) -> float:
    return element.page if element.page is not None else float("inf")


def _unknown(notes: Iterable[Element], known: set[str]) -> Iterator[Element]:
    for note in notes:
        words = set(_words(note.text))
        if not words <= known:
            known |= words
            yield note


def _words(text: str) -> list[str]:
    return _WORD.findall(normalised(text).casefold())


def _notes(archive: zipfile.ZipFile) -> Iterator[Element]:
    """Yield every paragraph, string, cell and text attribute of a package, part by part."""
    pages = _pages_of_parts(archive)
    for name in sorted(archive.namelist(), key=_in_order):
        if not name.endswith((".xml", ".vml")) or _PARTS_WITHOUT_TEXT.search(f"/{name}"):
            continue
        template = _TEMPLATES.search(f"/{name}") is not None
        if template and name not in pages:
            continue  # a layout that no slide uses
        for text in _paragraphs_of(archive.read(name), template):
            yield Element(text, "note", page=pages.get(name))


def _in_order(name: str) -> list[object]:
    """Order names by their numbers: slide2 before slide10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _pages_of_parts(archive: zipfile.ZipFile) -> dict[str, int]:
    """Map the parts of a presentation to the number of the first slide that shows them."""
    pages: dict[str, int] = {}
    presentation = "ppt/presentation.xml"
    if presentation not in archive.namelist():
        return pages
    targets = _relations(archive, presentation)
    slides = re.findall(rb'<\w+:sldId\s[^>]*?\w+:id="([^"]+)"', _content(archive, presentation))
    for number, identifier in enumerate(slides, start=1):
        shown = [targets.get(identifier.decode("utf-8", "replace"), ("", ""))[1]]
        for part in shown:  # which grows by what each part shows
            pages.setdefault(part, number)
            if "/slidemasters/" not in part.lower():  # a master names all its layouts
                others = _relations(archive, part).values()
                shown += (t for kind, t in others if t not in pages and not kind.endswith("/slide"))
    return pages


def _relations(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """Map the identifiers of a part's relations to their type and the name of the other part."""
    folder, name = posixpath.split(part)
    root = _root(_content(archive, f"{folder}/_rels/{name}.rels"))
    relations = {}
    for relation in root if root is not None else ():
        if relation.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join(folder, relation.get("Target", "")))
            kind = relation.get("Type", "")
            relations[relation.get("Id", "")] = (kind, target.lstrip("/"))
    return relations


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    return archive.read(name) if name in archive.NameToInfo else b""


def _root(part: bytes) -> Any:
    from lxml import etree

    parser = etree.XMLParser(recover=True, huge_tree=True, resolve_entities=False, no_network=True)
    return etree.fromstring(part, parser) if part.strip() else None


def _paragraphs_of(part: bytes, template: bool) -> Iterator[str]:
    from lxml import etree

    root = _root(part)
    if root is None:
        return
    text: list[str] = []
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, node in walk:
        name = _local(node)
        if event == "start":
            if name in _NOT_SHOWN or (template and name == "sp" and _is_placeholder(node)):
                walk.skip_subtree()
            elif name in _SPACES:
                text.append(" ")
            elif name in _ATTRIBUTES:
                yield from _shown([node.get(a) or "" for a in _attributes(node, name)])
            elif name == "p" and text:  # a paragraph in a box, inside another one
                yield from _shown(text)
                text = []
            continue
        text += _own_text(node, name)
        if name in _PARAGRAPHS or name in _SHEET_MARGINS:
            yield from _shown(text)
            text = []
    yield from _shown(text)


def _own_text(node: Any, name: str) -> Iterator[str]:
    """Yield the text of an element that has text which is shown."""
    if name in _NOT_SHOWN:
        return
    if (
        name == "t"
        or (name == "v" and _is_string(node))
        or (name == "text" and not len(node))
        or (name == "name" and not len(node))
    ):
        yield node.text or ""
    elif name in _SHEET_MARGINS:
        yield _CODES.sub(" ", node.text or "")
    elif name == "formula1" and (node.text or "").startswith('"'):  # the choices of a list
        yield node.text.replace(",", ", ")
    elif name == "textbox":  # HTML in a drawing of VML
        yield from (f"{text} " for text in node.itertext() if text.strip())


def _attributes(node: Any, name: str) -> Iterator[str]:
    """Yield the names of the attributes with text, in whatever namespace they are."""
    for attribute in node.attrib:
        if attribute.rpartition("}")[2] in _ATTRIBUTES[name]:
            yield attribute


def _shown(text: list[str]) -> Iterator[str]:
    shown = " ".join("".join(text).split())
    if shown.startswith(_THREADED):
        shown = shown.partition("Comment: ")[2]
    if shown:
        yield shown


def _is_string(node: Any) -> bool:
    """Whether a value is text: the cached result of a formula, or a name in a chart."""
    above = node.getparent()
    return above is not None and (above.get("t") == "str" or _local(above) in ("pt", "tx"))


def _is_placeholder(shape: Any) -> bool:
    """Whether a shape of a layout shows the text of each slide, and not its own."""
    return any(_local(node) == "ph" for node in shape.iter())


def _local(node: Any) -> str:
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _embedded(archive: zipfile.ZipFile, limits: Limits, warnings: list[str]) -> Iterator[Element]:
    """Yield the files that are embedded as objects; the data of charts are not among them."""
    unread: dict[str, list[str]] = {}  # names by reason
    for name in _names_of_embedded(archive):
        shown = PurePosixPath(name).name
        try:
            with archive.open(name) as content:
                document = load_part(shown, content, limits)
        except (DocumentError, KeyError, *UNREADABLE) as error:
            unread.setdefault(str(error), []).append(shown)
            continue
        yield Element(shown, "heading", 1)
        yield from document.elements
        warnings += (f"embedded file {shown}: {warning}" for warning in document.warnings)
    for reason, names in unread.items():
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        warnings.append(f"embedded file {', '.join(names[:_MOST_NAMES])}{more}: {reason}")


def _names_of_embedded(archive: zipfile.ZipFile) -> list[str]:
    names: set[str] = set()
    for rels in archive.namelist():
        folder, _, name = rels.rpartition("/_rels/")
        if not name.endswith(".rels") or folder.endswith("charts"):
            continue
        for kind, target in _relations(archive, f"{folder}/{name.removesuffix('.rels')}").values():
            if kind.endswith(_EMBEDDED):
                names.add(target)
    return sorted(names)
