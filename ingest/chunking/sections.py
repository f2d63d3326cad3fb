"""Sections: the parts of a document that no chunk crosses, as the strategy divides them."""

from collections.abc import Sequence
from dataclasses import dataclass

from twotower.ingest.chunking.settings import ChunkSettings
from twotower.ingest.chunking.spans import Span, SpanCutter, TokenCounter
from twotower.ingest.chunking.text import separated
from twotower.ingest.elements import ParsedDocument

_PACKED_TOKENS = 16  # tokens of a span that the strategy `tokens` packs


@dataclass(frozen=True, slots=True)
class Section:
    """The spans of the text under one heading path, or of notes that stand under none."""

    headings: tuple[str, ...]
    spans: tuple[Span, ...]
    notes: bool = False

    @property
    def tokens(self) -> int:
        """Number of tokens of all spans."""
        return sum(span.tokens for span in self.spans)

    @property
    def page(self) -> int | None:
        """Page on which the section begins."""
        return self.spans[0].page


def divide(
    document: ParsedDocument, settings: ChunkSettings, tokens: TokenCounter
) -> list[Section]:
    """Divide a document into sections as the strategy says."""
    if settings.strategy == "tokens":
        return _undivided(document, tokens)
    cutter = SpanCutter(tokens, _three_quarters(settings))  # leaves room for the prefix
    sections = _divided(document, cutter, at_elements=settings.strategy == "element")
    return _joined(sections, settings) if settings.strategy == "structure" else sections


def _three_quarters(settings: ChunkSettings) -> int:
    return settings.chunk_tokens * 3 // 4


def _undivided(document: ParsedDocument, tokens: TokenCounter) -> list[Section]:
    cutter = SpanCutter(tokens, _PACKED_TOKENS)
    spans: list[Span] = []
    offset = 0
    for text, element in separated(document.elements):
        spans += cutter.fragments(text, slice(0, len(text)), offset, element.page)
        offset += len(text)
    return [Section((), tuple(spans))] if spans else []


def _divided(document: ParsedDocument, cutter: SpanCutter, at_elements: bool) -> list[Section]:
    """Divide at headings, page ends and notes, or at every element."""
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    spans: list[Span] = []
    page: int | None = None
    notes = False
    only_headings = True  # in the section so far
    offset = 0
    for text, element in separated(document.elements):
        heading = element.kind == "heading"
        ends = element.page != page or (not only_headings and (heading or at_elements))
        if spans and (ends or notes != (element.kind == "note")):
            sections.append(Section(() if notes else _names(path), tuple(spans), notes))
            spans, only_headings = [], True
        if heading:
            path = [*(step for step in path if step[0] < element.level)]
            path.append((element.level, " ".join(element.text.split())))
        spans += cutter.spans(element, offset, offset + len(text))
        page, only_headings = element.page, only_headings and heading
        notes = element.kind == "note"
        offset += len(text)
    if spans:
        sections.append(Section(() if notes else _names(path), tuple(spans), notes))
    return sections


def _names(path: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(name for _, name in path)


def _joined(sections: Sequence[Section], settings: ChunkSettings) -> list[Section]:
    """Join small sections with their neighbours on the same page."""
    joined: list[Section] = []
    for section in sections:
        last = joined[-1] if joined else None
        if (
            last
            and last.page == section.page
            and min(last.tokens, section.tokens) < settings.least_tokens
            and last.tokens + section.tokens < _three_quarters(settings)
        ):
            common = _common_path(last.headings, section.headings)
            joined[-1] = Section(common, last.spans + section.spans, last.notes and section.notes)
        else:
            joined.append(section)
    return joined


def _common_path(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Return the headings above both sections: a longer path would be wrong for one of them."""
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    return one[:shared]
