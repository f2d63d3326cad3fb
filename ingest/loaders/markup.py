"""HTML, Markdown and XML: prepared so that `unstructured` loses none of their text."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.elements import Element, Limits, ParsedDocument
from ingest.loaders.text import read_text
from ingest.loaders.unstructured import elements_of, parsed, partition
from retrieval.errors import DocumentError

# What `unstructured` leaves out with all that is in it, and what it reads instead.
_READABLE = {
    "details": "div",
    "summary": "p",
    "figure": "div",
    "figcaption": "p",
    "textarea": "p",
    "button": "p",
    "noscript": "div",
    "dialog": "div",
    "fieldset": "div",
    "legend": "p",
}
_DEEPEST = 100  # levels; libxml2 gives up at about 256 and drops the rest without a word
_CODE = re.compile(r"(^```.*?^```|^~~~.*?^~~~|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
_TAG = re.compile(r"<(/?)([A-Za-z][\w-]*)([^<>]*)>")
_FRONT_MATTER = re.compile(r"---\n((?:(?:[\w-]+:|[ \t-]|#).*\n|\n)+?)---\n")


def load_html(path: Path, _limits: Limits) -> ParsedDocument:
    """Web pages, without their navigation, header and footer."""
    text = read_text(path)
    return _page(text) if text.strip() else ParsedDocument("", ())


def load_markdown(path: Path, _limits: Limits) -> ParsedDocument:
    """Markdown; front matter gives the title and is not part of the text."""
    import markdown  # noqa: PLC0415 - keeps the start of every command short

    text = read_text(path)
    title = ""
    said = ""
    front = _FRONT_MATTER.match(text)
    if front:
        text = text[front.end() :]
        said = front[1]
        named = re.search(r"^title:\s*['\"]?(.+?)['\"]?\s*$", front[1], re.MULTILINE)
        title = named[1] if named else ""
    if not text.strip():
        return ParsedDocument("", ())
    html = markdown.markdown(_placeholders_kept(text), extensions=["tables", "fenced_code"])
    document = _page(f"<html><body>{html}</body></html>")
    return ParsedDocument(title or document.title, document.elements, front_matter=said)


def _placeholders_kept(text: str) -> str:
    """Escape what looks like a tag and is none, such as <PART-NO>, outside of code."""
    from lxml.html.defs import tags  # noqa: PLC0415 - keeps the start of every command short

    def escaped(match: re.Match[str]) -> str:
        return match[0] if match[2].lower() in tags else f"&lt;{match[0][1:-1]}&gt;"

    parts = _CODE.split(text)
    return "".join(part if n % 2 else _TAG.sub(escaped, part) for n, part in enumerate(parts))


def page_elements(text: str) -> tuple[Element, ...]:
    """Read a piece of HTML, such as a mail's body."""
    return _page(text).elements if text.strip() else ()


def _page(text: str) -> ParsedDocument:
    from lxml import etree, html  # noqa: PLC0415 - keeps the start of every command short

    parser = html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        tree = html.document_fromstring(text.encode("utf-8", "replace"), parser)
    except etree.ParserError:
        return ParsedDocument("", ())
    title = " ".join((tree.findtext(".//title") or "").split())
    left_out = "//nav | //body/header[not(.//h1)] | //body/footer | //script | //style | //template"
    for element in tree.xpath(left_out):
        element.drop_tree()
    for caption in tree.xpath("//table/caption"):
        table = caption.getparent()
        caption.tag = "p"
        table.addprevious(caption)
    for element in list(tree.iter(*_READABLE)):
        element.tag = _READABLE[element.tag]
    _flatten(tree)
    page = html.tostring(tree, encoding="unicode")
    return parsed(title, elements_of(partition("html", {"text": page}), "marked"))


def _flatten(tree: Any) -> None:
    """Take tags away that stand deeper than any reader looks; their text stays."""
    depths = {tree: 0}
    deep = []
    for element in tree.iter():
        parent = element.getparent()
        depths[element] = depths.get(parent, 0) + 1
        if depths[element] > _DEEPEST and isinstance(element.tag, str):
            deep.append(element)
    for element in reversed(deep):
        element.drop_tag()


def load_xml(path: Path, _limits: Limits) -> ParsedDocument:
    """XML: one line for each element that has text or attributes, with its name.

    No external entity is read, and libxml2 stops internal ones that unfold without end. Where one
    cannot be resolved, none is.
    """
    from lxml import etree  # noqa: PLC0415 - keeps the start of every command short

    def parse(entities: str | bool) -> Any:
        parser = etree.XMLParser(resolve_entities=entities, no_network=True, load_dtd=False)
        return etree.parse(path, parser).getroot()

    try:
        try:
            root = parse("internal")
        except etree.XMLSyntaxError:
            root = parse(False)
    except etree.XMLSyntaxError as error:
        raise DocumentError(f"is not well-formed XML ({error.msg})", "malformed") from error
    lines = list(_lines(etree.iterwalk(root, events=("start", "end")), root))
    return ParsedDocument(path.stem, (Element("\n".join(lines), "lines"),))


def _lines(walk: Any, root: Any) -> Iterator[str]:
    for event, element in walk:
        if not isinstance(element.tag, str):
            continue
        if event == "end":
            tail = " ".join((element.tail or "").split())
            if tail and element is not root:
                yield tail
            continue
        attributes = (f"{_local(key)} {value}" for key, value in element.items())
        parts = [*attributes, " ".join((element.text or "").split())]
        if any(parts):
            yield f"{_local(element.tag)}: {', '.join(part for part in parts if part)}"


def _local(name: str) -> str:
    return name.rpartition("}")[2]
