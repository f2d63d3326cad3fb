"""Pack the spans of a section into chunks that fit the encoder's window with their prefix."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from twotower.ingest.chunking.settings import ChunkSettings
from twotower.ingest.chunking.spans import Span, TokenCounter
from twotower.ingest.chunking.text import trimmed

_TITLE_SEPARATOR = " > "
_BEGINNING = 500  # characters of a section that are searched for its headings
_JOINT_TOKENS = 4  # more than any tokenizer adds where two texts, each counted alone, are joined
_SHORTEST_HALVED = 4  # characters; a shorter span is not halved even if it is too long in tokens


def display_title(title: str, source: str) -> str:
    """Return the title, preceded by the words of the file name if the title lacks one of them.

    Titles inside files often say little ('Form 10-K'), while people name files with care.
    """
    name = PurePosixPath(source).stem
    words = [word for word in re.split(r"[\W_]+", name) if word]
    folded = title.casefold()
    if all(word.casefold() in folded for word in words):
        return title
    return f"{' '.join(words)}: {title}" if title != name else " ".join(words)


class Packer:
    """Makes the prefix of a section and cuts its spans into chunks."""

    def __init__(self, text: str, settings: ChunkSettings, tokens: TokenCounter) -> None:
        self._text = text
        self._settings = settings
        self._tokens = tokens

    def prefix(self, title: str, headings: tuple[str, ...], spans: Sequence[Span]) -> str:
        """Join the title and the headings that the section does not begin with.

        The prefix is cut to a quarter of a chunk's tokens.
        """
        beginning = self._text[spans[0].start : spans[-1].end].lstrip()[:_BEGINNING]
        beginning = " ".join(beginning.split())
        names = (title, *headings)
        parts = [title, *(heading for heading in headings if heading != title)]
        parts = [part for part in parts if not _begins_with(beginning, part, names)]
        prefix = _TITLE_SEPARATOR.join(parts)
        ends = self._tokens.ends(prefix)
        most = self._settings.chunk_tokens // 4
        return prefix if len(ends) <= most else prefix[: ends[most - 1]]

    def chunks(self, spans: Sequence[Span], prefix: str) -> Iterator[Span]:
        """Yield the span of each chunk; neighbours overlap as the settings say."""
        count = self._tokens.count
        room = self._settings.chunk_tokens - self._tokens.special - count(prefix)
        first = 0
        while first < len(spans):
            last, used = first, spans[first].tokens + count(spans[first].header)
            while last + 1 < len(spans) and used + spans[last + 1].tokens <= room:
                last += 1
                used += spans[last].tokens
            close = used + _JOINT_TOKENS * (last - first + 2) > room
            while close and last > first and not self._fits(spans[first], spans[last], prefix):
                last -= 1
            if close and last == first and not self._fits(spans[first], spans[last], prefix):
                yield from self._halved(spans[first], prefix)
            else:
                yield replace(spans[first], end=spans[last].end)
            if last + 1 == len(spans):
                return
            first = self._next_first(spans, first, last, room)

    def _next_first(self, spans: Sequence[Span], first: int, last: int, room: int) -> int:
        """Return the index at which the next chunk begins.

        It goes back from ``last + 1`` as far as the overlap allows and the next span still fits.
        """
        most = min(self._settings.overlap_tokens, room - spans[last + 1].tokens)
        begin, repeated = last + 1, 0
        while begin - 1 > first and not spans[begin - 1].header:
            repeated += spans[begin - 1].tokens
            if repeated > most:
                break
            begin -= 1
        return begin

    def _fits(self, first: Span, last: Span, prefix: str) -> bool:
        """Count the joined text: some tokenizers make more tokens of a whole than of its parts."""
        passage = self._text[trimmed(self._text, first.start, last.end)]
        whole = "\n".join(part for part in (prefix, first.header, passage) if part)
        return self._tokens.count(whole) + self._tokens.special <= self._settings.chunk_tokens

    def _halved(self, span: Span, prefix: str) -> Iterator[Span]:
        """Halve a span that is too long with its prefix, until each part fits; drop its header."""
        bare = replace(span, header="")
        if self._fits(bare, bare, prefix) or span.end - span.start < _SHORTEST_HALVED:
            yield bare
            return
        middle = (span.start + span.end) // 2
        space = self._text.rfind(" ", span.start + 1, middle)
        middle = space + 1 if space > span.start + (middle - span.start) // 2 else middle
        for start, end in ((span.start, middle), (middle, span.end)):
            count = self._tokens.count(self._text[start:end])
            yield from self._halved(replace(bare, start=start, end=end, tokens=count), prefix)


def _begins_with(beginning: str, name: str, names: tuple[str, ...]) -> bool:
    """Whether a section begins with a name, directly or after other names of its path."""
    at = beginning.find(name)
    before = beginning[:at].strip() if at >= 0 else ""
    return at >= 0 and (not before or any(other and before.endswith(other) for other in names))
