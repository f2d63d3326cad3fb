"""The partitioners of `unstructured`, with its network access shut off and no language model.

A loader imports its partitioner when it runs: `unstructured` takes long to import, and this module
has to be imported before it.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from twotower.ingest.elements import Element, ParsedDocument
from twotower.retrieval.vocabulary.errors import DocumentError

if TYPE_CHECKING:
    from unstructured.documents.elements import Element as Partition

# Set before the first import: by default `unstructured` reports every call and prints an
# advertisement.
os.environ.update(DO_NOT_TRACK="1", SCARF_NO_ANALYTICS="1", UNSTRUCTURED_DISABLE_NOTICE="1")

# It tells titles from other text by sentences and parts of speech, for which it imports spaCy and a
# model (over a second). Here the styles of a document tell them.
_TOKENIZER: Any = ModuleType("unstructured.nlp.tokenize")
_TOKENIZER.sent_tokenize = lambda text: [text]
_TOKENIZER.word_tokenize = str.split
_TOKENIZER.pos_tag = lambda _text: []
sys.modules.setdefault(_TOKENIZER.__name__, _TOKENIZER)

_SKIPPED = frozenset({"Header", "Footer", "PageBreak", "PageNumber", "Image"})
_LINES = frozenset({"CodeSnippet", "Table"})


def partition(partitioner: "Callable[..., list[Partition]]", **options: Any) -> "list[Partition]":
    """Run a partitioner of `unstructured`, such as ``partition_docx``.

    Raises
    ------
    DocumentError
        ``malformed``, with the library's own reason in one line.
    """
    try:
        partitions = partitioner(**options, languages=[""])
    except Exception as error:  # every parser below raises its own kind
        name = partitioner.__name__.removeprefix("partition_")
        reason = str(error).strip().splitlines()
        raise DocumentError(
            f"the file cannot be read as {name} "
            f"({type(error).__name__}: {reason[0] if reason else '-'})",
            "malformed",
        ) from error
    return partitions


def elements_of(partitions: "list[Partition]") -> Iterator[Element]:
    """Convert partitions to elements; titles with a depth are headings."""
    for part in partitions:
        page, depth = part.metadata.page_number, part.metadata.category_depth
        if part.category in _SKIPPED or not part.text.strip():
            continue
        if part.category == "Table" and part.metadata.text_as_html:
            yield Element(table_text(part.metadata.text_as_html), "table", 0, page)
        elif part.category == "Title" and depth is not None:
            yield Element(part.text, "heading", depth + 1, page)
        elif part.category == "ListItem":
            yield Element(f"- {part.text}", "item", 0, page)
        else:
            yield Element(part.text, "lines" if part.category in _LINES else "text", 0, page)


def table_text(html: str) -> str:
    """Return a table as lines of cells joined by `` | ``, without its empty rows."""
    from lxml import html as parser

    rows = []
    for row in parser.fromstring(html).iter("tr"):
        cells = [re.sub(r"\s+", " ", cell.text_content()).strip() for cell in row.iter("td", "th")]
        if any(cells):
            rows.append(" | ".join(cells).rstrip(" |"))
    return "\n".join(rows)


def parsed(title: str, elements: Iterator[Element]) -> ParsedDocument:
    """Build a document; without a title it takes its first heading of the highest level."""
    collected = tuple(elements)
    headings = [element for element in collected if element.kind == "heading"]
    if not title and headings:
        title = min(headings, key=lambda element: element.level).text
    pages = max((element.page or 0 for element in collected), default=0)
    return ParsedDocument(title, collected, pages or None)


def load_parsers() -> None:
    """Import the partitioners in use."""
    import unstructured.partition.docx
    import unstructured.partition.pptx  # noqa: F401
