"""Spans: the smallest parts of a document that chunks are made of, measured in tokens.

An element that fits a chunk is one span. A longer one is divided between sentences, or between
lines if it is a table or code. Only a sentence or line that is too long by itself is divided
inside.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tokenizers import Tokenizer

from twotower.ingest.elements import Element

_SENTENCE_END = re.compile(r"(?<=[.!?;:])[\"'”’)\]]*\s+|\n+")  # noqa: RUF001 - the quote is meant
_LINE_END = re.compile(r"\n+")
_CELL_SEPARATOR = " | "
# Characters that count as one token at least. Real text has 2 to 6 for each token; but a tokenizer
# makes a single unknown token of a run of any length, such as a hex dump.
_TOKEN_CHARACTERS = 16
_REMEMBERED = 64  # texts counted lately: prefixes and column names come again and again


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the document's text that is not cut if it fits: its offsets and token count.

    ``header`` is the row of column names to repeat in a chunk that begins with this span.
    """

    start: int
    end: int
    tokens: int
    page: int | None = None
    header: str = ""


class TokenCounter:
    """Counts the tokens of texts, without the special tokens of the encoder.

    A text counts as at least one token for each 16 characters, so that a limit in tokens limits
    the characters as well.

    Attributes
    ----------
    special
        Number of special tokens that the encoder adds to each text.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._counted: dict[str, int] = {}
        self.special: int = tokenizer.num_special_tokens_to_add(is_pair=False)

    def count(self, text: str) -> int:
        """Count the tokens of one text."""
        if text not in self._counted:
            if len(self._counted) == _REMEMBERED:
                self._counted.clear()
            encoding = self._tokenizer.encode(text, add_special_tokens=False) if text else ()
            self._counted[text] = max(len(encoding), _least(text))
        return self._counted[text]

    def count_each(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of several texts."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [
            max(len(encoding), _least(text))
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def ends(self, text: str) -> list[int]:
        """List the offset in the text at which each of its tokens ends.

        What is longer than 16 characters is divided, as if it were several tokens.
        """
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        ends: list[int] = []
        last = 0
        for _, end in encoding.offsets:
            ends += range(last + _TOKEN_CHARACTERS, end, _TOKEN_CHARACTERS)
            ends.append(end)
            last = end
        ends += range(last + _TOKEN_CHARACTERS, len(text), _TOKEN_CHARACTERS)
        return ends


def _least(text: str) -> int:
    return -(-len(text) // _TOKEN_CHARACTERS)


class SpanCutter:
    """Divides elements into spans of at most ``budget`` tokens."""

    def __init__(self, tokens: TokenCounter, budget: int) -> None:
        self._tokens = tokens
        self._budget = budget

    def spans(self, element: Element, start: int, end: int) -> list[Span]:
        """Return one span if the element fits the budget, else its lines or sentences."""
        text = element.text
        whole = self._tokens.count(text)
        if whole <= self._budget and element.kind != "table":
            return [Span(start, end, whole, element.page)]
        by_line = element.kind in ("table", "lines")
        stops = [match.end() for match in (_LINE_END if by_line else _SENTENCE_END).finditer(text)]
        bounds = [0, *(stop for stop in stops if stop < len(text)), len(text)]
        pieces = list(pairwise(bounds))
        counts = self._tokens.count_each([text[a:b] for a, b in pieces])
        header = (
            self._column_names(text, max(counts[1:], default=0)) if element.kind == "table" else ""
        )
        spans: list[Span] = []
        for (a, b), count in zip(pieces, counts, strict=True):
            repeated = header if a else ""
            if count <= self._budget:
                spans.append(Span(start + a, start + b, count, element.page, repeated))
            else:
                spans += self.fragments(text, slice(a, b), start, element.page, repeated)
        spans[-1] = replace(spans[-1], end=end)
        return spans

    def _column_names(self, table: str, longest: int) -> str:
        """Return the first row of a table, or as many of its cells as leave room for any row."""
        header = table.partition("\n")[0]
        ends = self._tokens.ends(header)
        most = max(self._budget // 3, self._budget - longest)
        if len(ends) <= most:
            return header
        return header[: max(header.rfind(_CELL_SEPARATOR, 0, ends[most]), 0)]

    def fragments(
        self, text: str, part: slice, offset: int, page: int | None, header: str = ""
    ) -> list[Span]:
        """Cut a part of a text after the last token that fits, if possible at a space."""
        ends = [part.start + end for end in self._tokens.ends(text[part])]
        spans = []
        start, token = part.start, 0
        while start < part.stop:
            stop = part.stop
            if len(ends) - token > self._budget:
                stop = max(ends[token + self._budget - 1], start + 1)
                space = text.rfind(" ", start + (stop - start) // 2, stop)
                stop = space + 1 if space > start else stop
            after = bisect_right(ends, stop) if stop < part.stop else len(ends)
            spans.append(Span(offset + start, offset + stop, after - token, page, header))
            start, token = stop, after
        return spans
