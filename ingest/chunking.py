"""Cut a document into passages that follow its structure and fit the encoder's window.

Boundaries stand at headings and page ends, then between paragraphs, then between sentences, and
within a sentence only where one alone is longer than the window. Rows and code lines are not cut,
and every piece of a table repeats the column names.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, Literal

from tokenizers import Tokenizer

from ingest.elements import Element, ParsedDocument
from retrieval.types import Box, Chunk, Provenance, chunk_id

_SENTENCE_END = re.compile(r"(?<=[.!?;:])[\"'”’)\]]*\s+|\n+")  # noqa: RUF001 - the quote is meant
_LINE_END = re.compile(r"\n+")
_TITLE_SEPARATOR = " > "
_FRAGMENT_SAMPLE = 4  # characters that no token of any tokenizer is certain to exceed


Strategy = Literal["structure", "heading", "element", "tokens"]
_FIXED = 16  # tokens of a span that the strategy `tokens` packs


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """How documents are cut; kept on the collection's card.

    Attributes
    ----------
    chunk_tokens
        The most tokens of one chunk as encoded: prefix, text and the encoder's special tokens.
    overlap_tokens
        Where a section is cut, up to so many tokens of whole sentences are repeated.
    least_tokens
        A section with fewer is joined with the next one where both fit on the same page.
    strategy
        ``structure``: along headings, small sections joined; ``heading``: along headings, none
        joined; ``element``: each paragraph, table or list item for itself; ``tokens``: as many
        tokens as fit, whatever the structure.
    """

    chunk_tokens: int
    overlap_tokens: int = 32
    least_tokens: int = 24
    strategy: Strategy = "structure"

    def to_card(self) -> Mapping[str, Any]:
        """Turn the settings into a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of the document's text that is not cut if it fits: offsets, and its tokens.

    ``header`` is the row of column names to repeat where a chunk begins with this span.
    """

    start: int
    end: int
    tokens: int
    page: int | None = None
    header: str = ""


@dataclass(frozen=True, slots=True)
class _Section:
    """Text under one heading path."""

    headings: tuple[str, ...]
    spans: tuple[_Span, ...]

    @property
    def tokens(self) -> int:
        return sum(span.tokens for span in self.spans)

    @property
    def page(self) -> int | None:
        return self.spans[0].page


def document_text(elements: Sequence[Element]) -> str:
    """Give the text that chunk offsets count in: the elements, a blank line between them."""
    return "".join(text for text, _ in _laid_out(elements))


def chunk_document(
    source: str, document: ParsedDocument, tokenizer: Tokenizer, settings: ChunkSettings
) -> list[Chunk]:
    """Cut a document into chunks.

    Parameters
    ----------
    tokenizer
        The encoder's own, without truncation and padding.

    Returns
    -------
    list[Chunk]
        In document order. None encodes to more than ``settings.chunk_tokens`` tokens, special
        tokens included; every character that is not white space is in at least one.
    """
    cutter = _Cutter(tokenizer, settings)
    sections = cutter.sections(document)
    text = document_text(document.elements)
    title = _named(document.title, source)
    boxes = _line_boxes(document.elements)
    occurrences: Counter[str] = Counter()
    chunks: list[Chunk] = []
    for section in sections:
        prefix = cutter.prefix(title, section.headings, text, section.spans)
        for piece in cutter.cut(section.spans, prefix, text):
            passage, header = _trimmed(text, piece.start, piece.end), piece.header
            shown = f"{header}\n{text[passage]}" if header else text[passage]
            encoded = f"{prefix}\n{shown}" if prefix else shown
            chunks.append(
                Chunk(
                    id=chunk_id(source, encoded, occurrences[encoded]),
                    text=shown,
                    prefix=prefix,
                    position=len(chunks),
                    provenance=Provenance(
                        source=source,
                        title=document.title,
                        headings=section.headings,
                        page=piece.page,
                        page_end=_page_at(section.spans, passage.stop),
                        start=passage.start,
                        end=passage.stop,
                        boxes=tuple(_boxes(boxes, passage)),
                    ),
                )
            )
            occurrences[encoded] += 1
    return chunks


class _Cutter:
    """The steps of `chunk_document` that measure in tokens."""

    def __init__(self, tokenizer: Tokenizer, settings: ChunkSettings) -> None:
        self._tokenizer = tokenizer
        self._settings = settings
        self._special = tokenizer.num_special_tokens_to_add(is_pair=False)

    def sections(self, document: ParsedDocument) -> list[_Section]:
        """Divide as the strategy says."""
        strategy = self._settings.strategy
        if strategy == "tokens":
            return self._undivided(document)
        sections = self._divided(document, at_elements=strategy == "element")
        return self._joined(sections) if strategy == "structure" else sections

    def _undivided(self, document: ParsedDocument) -> list[_Section]:
        spans: list[_Span] = []
        offset = 0
        for text, element in _laid_out(document.elements):
            spans += self._fragments(text, slice(0, len(text)), offset, _FIXED, element.page, "")
            offset += len(text)
        return [_Section((), tuple(spans))] if spans else []

    def _divided(self, document: ParsedDocument, at_elements: bool) -> list[_Section]:
        """Divide at headings and page ends, or at every element."""
        sections: list[_Section] = []
        path: list[tuple[int, str]] = []
        spans: list[_Span] = []
        page: int | None = None
        bare = True  # only headings so far
        offset = 0
        for text, element in _laid_out(document.elements):
            heading = element.kind == "heading"
            ends = element.page != page or (not bare and (heading or at_elements))
            if spans and ends:
                sections.append(_Section(_names(path), tuple(spans)))
                spans, bare = [], True
            if heading:
                path = [*(step for step in path if step[0] < element.level)]
                path.append((element.level, " ".join(element.text.split())))
            spans += self._spans(element, offset, offset + len(text))
            page, bare, offset = element.page, bare and heading, offset + len(text)
        if spans:
            sections.append(_Section(_names(path), tuple(spans)))
        return sections

    def _joined(self, sections: Sequence[_Section]) -> list[_Section]:
        joined: list[_Section] = []
        for section in sections:
            last = joined[-1] if joined else None
            if (
                last
                and last.page == section.page
                and min(last.tokens, section.tokens) < self._settings.least_tokens
                and last.tokens + section.tokens < self._settings.chunk_tokens * 3 // 4
            ):
                common = _common(last.headings, section.headings)
                joined[-1] = _Section(common, last.spans + section.spans)
            else:
                joined.append(section)
        return joined

    def _spans(self, element: Element, start: int, end: int) -> list[_Span]:
        """One span where the element fits a chunk, else its lines or sentences."""
        text = element.text
        budget = self._settings.chunk_tokens * 3 // 4  # leaves room for the prefix
        header = text.partition("\n")[0] if element.kind == "table" else ""
        if header and self._count(header) > budget // 3:
            header = ""  # repeating it would leave no room for the rows
        whole = self._count(text)
        if whole <= budget and element.kind != "table":
            return [_Span(start, end, whole, element.page)]
        by_line = element.kind in ("table", "lines")
        stops = [match.end() for match in (_LINE_END if by_line else _SENTENCE_END).finditer(text)]
        bounds = [0, *(stop for stop in stops if stop < len(text)), len(text)]
        pieces = list(pairwise(bounds))
        counts = self._counts([text[a:b] for a, b in pieces])
        spans: list[_Span] = []
        for (a, b), count in zip(pieces, counts, strict=True):
            repeated = header if a else ""
            if count <= budget:
                spans.append(_Span(start + a, start + b, count, element.page, repeated))
            else:
                spans += self._fragments(text, slice(a, b), start, budget, element.page, repeated)
        last = spans[-1]
        spans[-1] = replace(last, end=end)
        return spans

    def _fragments(
        self, text: str, where: slice, offset: int, budget: int, page: int | None, header: str
    ) -> list[_Span]:
        """Cut what no sentence end divides: after the last token that fits, at best at a space."""
        encoding = self._tokenizer.encode(text[where], add_special_tokens=False)
        ends = [where.start + end for _, end in encoding.offsets]
        spans = []
        start, token = where.start, 0
        while start < where.stop:
            stop = where.stop
            if len(ends) - token > budget:
                stop = max(ends[token + budget - 1], start + 1)
                space = text.rfind(" ", start + (stop - start) // 2, stop)
                stop = space + 1 if space > start else stop
            after = bisect_right(ends, stop) if stop < where.stop else len(ends)
            spans.append(_Span(offset + start, offset + stop, after - token, page, header))
            start, token = stop, after
        return spans

    def prefix(
        self, title: str, headings: tuple[str, ...], text: str, spans: Sequence[_Span]
    ) -> str:
        """Title and headings that the section does not begin with, at most a quarter chunk."""
        beginning = text[spans[0].start : spans[-1].end].lstrip()[:500]
        parts = [title, *(heading for heading in headings if heading != title)]
        shown = " ".join(beginning.split())
        parts = [part for part in parts if not _begins(shown, part, (title, *headings))]
        prefix = _TITLE_SEPARATOR.join(parts)
        encoding = self._tokenizer.encode(prefix, add_special_tokens=False)
        most = self._settings.chunk_tokens // 4
        return prefix if len(encoding.ids) <= most else prefix[: encoding.offsets[most - 1][1]]

    def cut(self, spans: Sequence[_Span], prefix: str, text: str) -> Iterator[_Span]:
        """Pack spans into chunks."""
        room = self._settings.chunk_tokens - self._special - self._count(prefix)
        fits = self._fits(prefix, text)
        first = 0
        while first < len(spans):
            last, used = first, spans[first].tokens + self._count(spans[first].header)
            while last + 1 < len(spans) and used + spans[last + 1].tokens <= room:
                last += 1
                used += spans[last].tokens
            while last > first and not fits(spans[first], spans[last]):
                last -= 1
            if last == first and not fits(spans[first], spans[last]):
                yield from self._forced(spans[first], prefix, text)
            else:
                yield replace(spans[first], end=spans[last].end)
            if last + 1 == len(spans):
                return
            first = self._overlapped(spans, first, last, room)

    def _overlapped(self, spans: Sequence[_Span], first: int, last: int, room: int) -> int:
        """Where the next chunk begins: as far back as overlap and room for what is new allow."""
        most = min(self._settings.overlap_tokens, room - spans[last + 1].tokens)
        begin, repeated = last + 1, 0
        while begin - 1 > first and not spans[begin - 1].header:
            repeated += spans[begin - 1].tokens
            if repeated > most:
                break
            begin -= 1
        return begin

    def _fits(self, prefix: str, text: str) -> Callable[[_Span, _Span], bool]:
        """Count the joined text: some tokenizers make more tokens of a whole than of its parts."""

        def fits(first: _Span, last: _Span) -> bool:
            passage = text[_trimmed(text, first.start, last.end)]
            whole = "\n".join(part for part in (prefix, first.header, passage) if part)
            return self._count(whole) + self._special <= self._settings.chunk_tokens

        return fits

    def _forced(self, span: _Span, prefix: str, text: str) -> Iterator[_Span]:
        """Halve a span that alone is too long beside its prefix, without its header."""
        bare = replace(span, header="")
        if self._fits(prefix, text)(bare, bare) or span.end - span.start < _FRAGMENT_SAMPLE:
            yield bare
            return
        middle = (span.start + span.end) // 2
        space = text.rfind(" ", span.start + 1, middle)
        middle = space + 1 if space > span.start + (middle - span.start) // 2 else middle
        for start, end in ((span.start, middle), (middle, span.end)):
            half = replace(bare, start=start, end=end, tokens=self._count(text[start:end]))
            yield from self._forced(half, prefix, text)

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids) if text else 0

    def _counts(self, texts: Sequence[str]) -> list[int]:
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]


def _named(title: str, source: str) -> str:
    """The title, with the words of the file's name in front that it does not have.

    Titles inside files are often empty of meaning ('Form 10-K'); people name files with care.
    """
    name = PurePosixPath(source).stem
    words = [word for word in re.split(r"[\W_]+", name) if word]
    shown = title.casefold()
    if all(word.casefold() in shown for word in words):
        return title
    return f"{' '.join(words)}: {title}" if title != name else " ".join(words)


def _laid_out(elements: Sequence[Element]) -> Iterator[tuple[str, Element]]:
    """Each element's text with what separates it from the next: items stand on adjoining lines."""
    for index, element in enumerate(elements):
        following = elements[index + 1] if index + 1 < len(elements) else None
        if following is None:
            yield element.text, element
        elif element.kind == following.kind == "item":
            yield element.text + "\n", element
        else:
            yield element.text + "\n\n", element


def _line_boxes(elements: Sequence[Element]) -> list[tuple[int, int, Box]]:
    """Where the lines of the whole text stand: offsets, in order, and the box."""
    boxes = []
    offset = 0
    for text, element in _laid_out(elements):
        for line in element.lines:
            corners = (line.left, line.bottom, line.right, line.top)
            box = (element.page or 1, *corners)
            boxes.append((offset + line.start, offset + line.end, box))
        offset += len(text)
    return boxes


def _boxes(boxes: Sequence[tuple[int, int, Box]], passage: slice) -> Iterator[Box]:
    first = bisect_left(boxes, passage.start, key=lambda box: box[1] - 1)
    for start, _, box in boxes[first:]:
        if start >= passage.stop:
            return
        yield box


def _page_at(spans: Sequence[_Span], end: int) -> int | None:
    return next((span.page for span in reversed(spans) if span.start < end), None)


def _names(path: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(name for _, name in path)


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """The shared path; where one has nothing else, the longer one would claim too much."""
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    return one[:shared]


def _begins(shown: str, part: str, names: tuple[str, ...]) -> bool:
    """Whether the section's text opens with this name, perhaps below others of its path."""
    at = shown.find(part)
    before = shown[:at].strip() if at >= 0 else ""
    return at >= 0 and (not before or any(name and before.endswith(name) for name in names))


def _trimmed(text: str, start: int, end: int) -> slice:
    """The span without the white space around it."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return slice(start, end)
