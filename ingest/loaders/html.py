"""HTML to elements, in the order of the page, without leaving out any text that a reader sees.

Only menus are dropped: containers for navigation, headers and footers that consist of links.
"""

from collections.abc import Iterator
from typing import Any

from twotower.ingest.elements import Element, Kind, ParsedDocument
from twotower.ingest.loaders.note_marks import is_note_mark

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDDEN = frozenset({"script", "style", "template", "head", "iframe", "datalist"})
_PREFORMATTED = frozenset({"pre", "textarea", "listing", "xmp"})
_LISTS = frozenset({"ol", "ul", "menu", "dir"})
_PARTS = frozenset({"article", "section", "main", "blockquote"})  # may have footers of their own
_SEPARATE = frozenset({"option", "button", "label", "td", "th"})
_MENUS = frozenset({"nav", "header", "footer", "aside"})
_INLINE = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em"}
    | {"font", "i", "img", "ins", "kbd", "label", "mark", "math", "meter", "output", "progress"}
    | {"q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup"}
    | {"svg", "text", "time", "tspan", "tt", "u", "var", "wbr", "br", "input", "select", "option"}
    | {"button", "optgroup", "map", "area", "picture", "source", "title", "desc"}
    | {"mi", "mn", "mo", "ms", "mtext", "mrow", "msub", "msup", "msubsup", "mfrac", "msqrt"}
)
_MOST_LINKS = 0.8  # share of a menu's characters that are links
_LEAST_LINKS = 3  # of a header, footer or aside
_NO_VALUE = frozenset({"hidden", "password", "checkbox", "radio", "image", "file"})
_BREAK = "\0"  # stands for <br> until white space is collapsed
_WIDEST = 1000  # columns that a cell spans, at most
_DIGITS = 6  # of a number in an attribute, at most


def read_html(text: str) -> ParsedDocument:
    """Read a page: its title and its elements."""
    from lxml import etree, html

    parser = html.HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        tree = html.document_fromstring(text.encode("utf-8", "replace"), parser)
    except etree.ParserError:
        return ParsedDocument("", ())
    title = " ".join((tree.findtext(".//title") or "").split())
    elements = tuple(_Reader(drop_menus=True).read(tree))
    if not elements:
        elements = tuple(_Reader(drop_menus=False).read(tree))
    return ParsedDocument(title, elements)


class _Reader:
    """Goes through a tree once, and collects the text of each block."""

    def __init__(self, *, drop_menus: bool) -> None:
        self._drop_menus = drop_menus
        self._text: list[str] = []
        self._preformatted = 0
        self._notes = 0  # open footers of the page
        self._marks: list[str] = []  # of list items that have no text yet
        self._numbers: list[int | None] = []  # of the next item of each open list

    def read(self, tree: Any) -> Iterator[Element]:
        from lxml import etree

        walker = etree.iterwalk(tree, events=("start", "end", "comment", "pi"))
        skipped = None
        for event, node in walker:
            if event == "start" and skipped is None:
                if node.tag in _HIDDEN or (self._drop_menus and _is_menu(node)):
                    skipped = node
                elif node.tag == "table" and _is_data(node):
                    yield from self._flushed()
                    yield from _table(node)
                    skipped = node
                else:
                    yield from self._started(node)
            elif event == "end" and skipped is None:
                yield from self._ended(node)
            if event == "end" and skipped is node:
                skipped = None
            if event != "start" and skipped is None and node is not tree:
                self._add(node.tail)
        yield from self._flushed()

    def _started(self, node: Any) -> Iterator[Element]:
        if node.tag not in _INLINE:
            yield from self._flushed()
        self._notes += _is_page_footer(node)
        if node.tag in _PREFORMATTED:
            self._preformatted += 1
        elif node.tag in _LISTS:
            self._numbers.append(_number(node.get("start"), 1) if node.tag == "ol" else None)
        elif node.tag == "li":
            self._marks.append(self._mark(node))
        elif node.tag == "br":
            self._text.append(_BREAK)
        elif (node.tag == "sup" and self._is_note(node)) or node.tag in _SEPARATE:
            self._text.append(" ")
        self._add(_shown(node))
        self._add(node.text)

    def _is_note(self, node: Any) -> bool:
        """Whether a superscript is the mark of a note, and not a part of the word before it."""
        note = "".join(node.itertext()).strip()
        return is_note_mark(note, "".join(self._text[-2:]))

    def _ended(self, node: Any) -> Iterator[Element]:
        if node.tag in _HEADINGS:
            yield from self._flushed("heading", _HEADINGS[node.tag])
        elif node.tag in _PREFORMATTED:
            yield from self._flushed("lines")
            self._preformatted -= 1
        elif node.tag not in _INLINE:
            yield from self._flushed()
        if node.tag in _LISTS and self._numbers:
            self._numbers.pop()
        if node.tag == "li" and self._marks:
            self._marks.pop()
        if node.tag in _SEPARATE:
            self._text.append(" ")
        self._notes -= _is_page_footer(node)

    def _mark(self, node: Any) -> str:
        number = self._numbers[-1] if self._numbers else None
        if number is None:
            return "- "
        number = _number(node.get("value"), number)
        self._numbers[-1] = number + 1
        return f"{number}. "

    def _add(self, text: str | None) -> None:
        if text:
            self._text.append(text)

    def _flushed(self, kind: Kind = "text", level: int = 0) -> Iterator[Element]:
        """Yield the collected text as an element, if there is any."""
        text = "".join(self._text)
        self._text = []
        if self._preformatted:
            text = text.replace(_BREAK, "\n").strip("\r\n")
        else:
            lines = (" ".join(line.split()) for line in text.split(_BREAK))
            text = "\n".join(line for line in lines if line)
        if not text.strip():
            return
        if self._marks and self._marks[-1] and kind == "text":
            text, kind = self._marks[-1] + text, "item"
            self._marks[-1] = ""
        if self._notes and kind == "text":
            kind = "note"
        yield Element(text, kind, level)


def _is_menu(node: Any) -> bool:
    """Whether a container of navigation consists of links."""
    if node.tag not in _MENUS and node.get("role") != "navigation":
        return False
    links = [len("".join(link.itertext()).strip()) for link in node.iter("a")]
    whole = len("".join("".join(node.itertext()).split()))
    least = _LEAST_LINKS if node.tag in _MENUS - {"nav"} else 1
    return len(links) >= least and sum(links) >= whole * _MOST_LINKS


def _is_page_footer(node: Any) -> bool:
    """Whether an element is the footer of the page, and not of an article or a section in it."""
    return node.tag == "footer" and not any(above.tag in _PARTS for above in node.iterancestors())


def _is_data(table: Any) -> bool:
    """Whether a table holds data in rows and columns, and not the layout of the page."""
    if next((t for t in table.iter("table") if t is not table), None) is not None:
        return False
    if next(table.iter(*_HEADINGS), None) is not None:
        return False
    return any(sum(cell.tag in ("td", "th") for cell in row) > 1 for row in table.iter("tr"))


def _table(table: Any) -> Iterator[Element]:
    caption = table.find("caption")
    if caption is not None and (text := _cell(caption)):
        yield Element(text)
    rows = [" | ".join(row) for row in _rows(table) if any(row)]
    if rows:
        yield Element("\n".join(rows), "table")


def _rows(table: Any) -> Iterator[list[str]]:
    """Yield the cells of each row; a merged cell has its value in every row and column of it."""
    below: dict[int, tuple[int, str]] = {}  # column: rows to come and text of a cell above
    for row in table.iter("tr"):
        cells: list[str] = []

        def fill(cells: list[str] = cells) -> None:
            while len(cells) in below:
                left, text = below[len(cells)]
                if left > 1:
                    below[len(cells)] = (left - 1, text)
                else:
                    del below[len(cells)]
                cells.append(text)

        own = [cell for cell in row if cell.tag in ("td", "th")]
        for cell in own:
            fill()
            text = _cell(cell)
            wide = min(_number(cell.get("colspan"), 1), _WIDEST) if len(own) > 1 else 1
            high = _number(cell.get("rowspan"), 1)
            for _ in range(max(wide, 1)):
                if high > 1:
                    below[len(cells)] = (high - 1, text)
                cells.append(text)
        fill()
        while cells and not cells[-1]:
            cells.pop()
        yield cells


def _cell(cell: Any) -> str:
    """Return the text of a cell in one line."""
    return " ".join("".join(_in_order(cell)).split())


def _in_order(node: Any) -> Iterator[str]:
    """Yield the text below a node in order, with a space where a block begins or ends."""
    from lxml import etree

    for event, below in etree.iterwalk(node, events=("start", "end", "comment", "pi")):
        hidden = below.tag in _HIDDEN
        separate = isinstance(below.tag, str) and (below.tag not in _INLINE or below.tag == "br")
        if event == "start":
            yield " " if separate else ""
            yield "" if hidden else _shown(below) + (below.text or "")
        else:
            yield " " if separate else ""
            yield (below.tail or "") if below is not node else ""


def _shown(node: Any) -> str:
    """Return what an element without text shows: a description or a value."""
    if node.tag in ("img", "area"):
        return _spaced(node.get("alt"))
    return _spaced(_value(node)) if node.tag == "input" else ""


def _value(field: Any) -> str | None:
    return None if field.get("type", "").lower() in _NO_VALUE else field.get("value")


def _spaced(text: str | None) -> str:
    return f" {text} " if text and text.strip() else ""


def _number(text: str | None, default: int) -> int:
    """Return the number of an attribute, or the default if it is none that makes sense."""
    return (
        int(text)
        if text and text.isascii() and text.isdigit() and len(text) <= _DIGITS
        else default
    )
