"""HTML, Markdown and XML."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from html import escape
from pathlib import Path
from typing import Any

import yaml

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.html import read_html
from twotower.ingest.loaders.text import read_text
from twotower.ingest.loaders.unstructured import parsed
from twotower.retrieval.vocabulary.errors import DocumentError

_FRONT_MATTER = re.compile(r"---[ \t]*\n(?=\S)(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
# Tags that a text mentions more often than it uses them: alone in a line of text they are words.
_MENTIONED = frozenset(
    {"body", "button", "form", "frame", "head", "html", "iframe", "input", "link", "meta"}
    | {"option", "script", "select", "style", "template", "textarea", "title"}
)
_TAG = re.compile(r"</?([A-Za-z][\w-]*)([^<>]*?)/?>|<!--")
_ATTRIBUTES = re.compile(
    r"""(?:\s+[\w:@.-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+)"""
    r"|\s+(?:open|checked|disabled|hidden|controls|reversed|nowrap))*\s*"
)
_SWALLOWS = re.compile(r"<(script|style|textarea|title|template)\b", re.IGNORECASE)
_FOOTNOTE = re.compile(r"^( {0,3})\[(\^[^\]\n]+\]:)", re.MULTILINE)
_MOST_BRACKETS = 1000  # of a paragraph with links
_WIKI_LINK = re.compile(r"!?\[\[([^\][|\n]{1,500})(?:\|([^\][\n]{1,500}))?\]\]")
_CALLOUT = re.compile(r"^\[!(\w+)\][+-]?[ \t]*")


def load_html(path: Path, _limits: Limits) -> ParsedDocument:
    """Read a web page without its menus."""
    text = read_text(path, markup=True)
    return titled(read_html(text)) if text.strip() else ParsedDocument("", ())


def load_markdown(path: Path, _limits: Limits) -> ParsedDocument:
    """Read Markdown."""
    return read_markdown(read_text(path))


def read_markdown(text: str) -> ParsedDocument:
    """Read CommonMark with tables, front matter, and the links and callouts of Obsidian.

    The title can come from front matter, which is not part of the text.
    """
    title = ""
    front_matter = ""
    block = _FRONT_MATTER.match(text)
    if block and (keys := _yaml(block[1])):
        text = text[block.end() :]
        front_matter = block[1]
        title = str(keys.get("title") or "").strip()
    if not text.strip():
        return ParsedDocument("", ())
    text = _FOOTNOTE.sub(r"\1\\[\2", text)
    page = _parser().render(text)
    document = titled(read_html(f"<html><body>{page}</body></html>"))
    return replace(document, title=title or document.title, front_matter=front_matter)


def _yaml(text: str) -> dict[Any, Any]:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import image, link

    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    # Looking for the end of each label takes quadratic time where brackets are not closed.
    parser.inline.ruler.at("link", partial(_unless_many_brackets, link))
    parser.inline.ruler.at("image", partial(_unless_many_brackets, image))
    parser.add_render_rule("html_inline", _inline_html)
    parser.add_render_rule("html_block", _html_block)
    parser.add_render_rule("text", _text)
    return parser


def _unless_many_brackets(rule: Callable[[Any, bool], bool], state: Any, silent: bool) -> bool:
    """Apply a rule of the parser to a text with a sensible number of brackets."""
    if "many brackets" not in state.env:
        state.env["many brackets"] = {}
    known = state.env["many brackets"]
    if state.src not in known:
        known.clear()
        known[state.src] = state.src.count("[") > _MOST_BRACKETS
    return not known[state.src] and rule(state, silent)


def _inline_html(_renderer: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    """Keep what is HTML, and escape what only looks like it, such as <PART-NO> or a<b and c>d."""
    content: str = tokens[index].content
    tag = _TAG.match(content)
    known = tag is not None and (
        tag[1] is None or (_is_tag(tag[1]) and _ATTRIBUTES.fullmatch(tag[2]) is not None)
    )
    mentioned = tag is not None and (tag[1] or "").lower() in _MENTIONED and not tag[2].strip()
    return content if known and not mentioned else escape(content, quote=False)


def _html_block(_renderer: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    """Keep a block of HTML, unless its tag is unknown or would hide the text behind it."""
    content: str = tokens[index].content
    tag = _TAG.search(content)
    opened = _SWALLOWS.search(content)
    unclosed = opened is not None and f"</{opened[1].lower()}" not in content.lower()
    if unclosed or (tag is not None and tag[1] is not None and not _is_tag(tag[1])):
        paragraphs = re.split(r"\n[ \t]*\n", content)
        return "".join(f"<p>{escape(part, quote=False)}</p>" for part in paragraphs)
    return content


def _text(_renderer: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    content = _WIKI_LINK.sub(lambda link: link[2] or link[1], tokens[index].content)
    if index == 0:
        content = _CALLOUT.sub(lambda callout: f"{callout[1].capitalize()}: ", content)
    return escape(content, quote=False)


def _is_tag(name: str) -> bool:
    from lxml.html.defs import tags

    return name.lower() in tags


def page_elements(text: str) -> tuple[Element, ...]:
    """Read a part of HTML, such as the body of a mail."""
    return read_html(text).elements if text.strip() else ()


def titled(document: ParsedDocument) -> ParsedDocument:
    """Take the first heading of the highest level as the title, if the page has none."""
    return parsed(document.title, iter(document.elements))


def load_xml(path: Path, _limits: Limits) -> ParsedDocument:
    """Read XML as one line for each element with text or attributes, with the element's name.

    No external entity is read, and libxml2 stops internal entities that expand without end. If one
    entity cannot be resolved, none is.
    """
    from lxml import etree

    def parse(entities: str | bool) -> Any:
        parser = etree.XMLParser(resolve_entities=entities, no_network=True, load_dtd=False)
        return etree.parse(path, parser).getroot()

    try:
        try:
            root = parse("internal")
        except etree.XMLSyntaxError:
            root = parse(False)
    except etree.XMLSyntaxError as error:
        raise DocumentError(
            f"the file is not well-formed XML ({error.msg})", "malformed"
        ) from error
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
        attributes = (f"{_local_name(key)} {value}" for key, value in element.items())
        parts = [*attributes, " ".join((element.text or "").split())]
        if any(parts):
            yield f"{_local_name(element.tag)}: {', '.join(part for part in parts if part)}"


def _local_name(name: str) -> str:
    return name.rpartition("}")[2]
