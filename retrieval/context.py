"""Grounding context: hits as numbered, cited passages within a budget of tokens; pure functions."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from retrieval.sentences import sentence_spans
from retrieval.types import Chunk, Hit


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of one document, made of chunks that adjoin.

    Attributes
    ----------
    number
        From 1: what a citation says.
    chunk_ids
        Of the chunks it is made of, in the order of the document.
    cut
        Whether it was cut short to fit the budget.
    """

    number: int
    text: str
    source: str
    title: str
    headings: tuple[str, ...]
    page: int | None
    page_end: int | None
    chunk_ids: tuple[UUID, ...]
    cut: bool = False

    @property
    def citation(self) -> str:
        """Source, page and heading, for people."""
        pages = "" if self.page is None else f", page {self.page}"
        if self.page is not None and self.page_end not in (None, self.page):
            pages = f", pages {self.page}-{self.page_end}"
        heading = f", {' > '.join(self.headings)}" if self.headings else ""
        return f"{self.source}{pages}{heading}"


@dataclass(frozen=True, slots=True)
class Context:
    """Passages within a budget, and how many tokens their text takes."""

    passages: tuple[Passage, ...]
    tokens: int

    @property
    def text(self) -> str:
        """What a language model is given: each passage under its number and citation."""
        return "\n\n".join(_shown(passage) for passage in self.passages)


@dataclass(frozen=True, slots=True)
class _Run:
    """Chunks that adjoin, in the order of their document, and the best rank among them."""

    rank: int
    chunks: tuple[Chunk, ...]


def build_context(
    hits: Sequence[Hit], max_tokens: int, count_tokens: Callable[[str], int]
) -> Context:
    """Make a context of hits.

    A chunk, or a copy of it in another document, appears once; chunks that adjoin become one
    passage, with what they overlap in written once; passages stand in the order of their best hit.
    What does not fit is left out, but for the first passage that does not: it is cut at the end of
    a sentence.

    Parameters
    ----------
    hits
        Best first; the chunks next to them, where they have any, count as found.
    max_tokens
        Of the whole text, with numbers and citations.
    count_tokens
        In the language model's own tokens.

    Raises
    ------
    ValueError
        If the budget is below 1.
    """
    if max_tokens < 1:
        raise ValueError(f"a context of {max_tokens} tokens holds nothing")
    passages: list[Passage] = []
    used = 0
    for run in _runs(hits):
        passage = _passage(len(passages) + 1, run)
        cost = count_tokens(_shown(passage) + "\n\n")
        if used + cost > max_tokens:
            shortened = _cut(passage, max_tokens - used, count_tokens)
            if shortened is not None:
                passages.append(shortened)
                used += count_tokens(_shown(shortened) + "\n\n")
            break
        passages.append(passage)
        used += cost
    return Context(tuple(passages), used)


def _runs(hits: Sequence[Hit]) -> list[_Run]:
    ranks: dict[UUID, tuple[int, Chunk]] = {}
    texts: set[str] = set()
    for chunk, rank in _found(hits):
        if chunk.id not in ranks and chunk.text not in texts:
            ranks[chunk.id] = (rank, chunk)
            texts.add(chunk.text)
    runs: list[_Run] = []
    for rank, chunk in sorted(
        ranks.values(), key=lambda found: (found[1].provenance.source, found[1].position)
    ):
        last = runs[-1].chunks[-1] if runs else None
        if last is not None and _adjoin(last, chunk):
            runs[-1] = _Run(min(runs[-1].rank, rank), (*runs[-1].chunks, chunk))
        else:
            runs.append(_Run(rank, (chunk,)))
    return sorted(runs, key=lambda run: run.rank)


def _found(hits: Sequence[Hit]) -> Iterable[tuple[Chunk, int]]:
    """Hits before their neighbours: where two texts are the same, the hit is the one that stays."""
    for hit in hits:
        yield hit.chunk, hit.rank
    for hit in hits:
        for chunk in (*hit.before, *hit.after):
            yield chunk, hit.rank


def _adjoin(first: Chunk, second: Chunk) -> bool:
    same = first.provenance.source == second.provenance.source
    return same and second.position == first.position + 1


def _passage(number: int, run: _Run) -> Passage:
    first, last = run.chunks[0].provenance, run.chunks[-1].provenance
    text = run.chunks[0].text
    for before, chunk in zip(run.chunks, run.chunks[1:], strict=False):
        text += _continuation(before, chunk)
    return Passage(
        number=number,
        text=text,
        source=first.source,
        title=first.title,
        headings=_shared([chunk.provenance.headings for chunk in run.chunks]),
        page=first.page,
        page_end=last.page_end,
        chunk_ids=tuple(chunk.id for chunk in run.chunks),
    )


def _continuation(before: Chunk, chunk: Chunk) -> str:
    """The part of a chunk that the one before it does not have, with a break in front."""
    overlap = before.provenance.end - chunk.provenance.start
    if overlap > 0 and before.text.endswith(chunk.text[:overlap]):
        return chunk.text[overlap:]
    return "\n\n" + chunk.text


def _shared(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    shared = []
    for names in zip(*paths, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return tuple(shared)


def _cut(passage: Passage, room: int, count_tokens: Callable[[str], int]) -> Passage | None:
    """As many whole sentences of a passage as there is room for."""
    fitting = None
    for _, end in sentence_spans(passage.text):
        shorter = replace(passage, text=passage.text[:end], cut=True)
        if count_tokens(_shown(shorter) + "\n\n") > room:
            break
        fitting = shorter
    return fitting


def _shown(passage: Passage) -> str:
    return f"[{passage.number}] {passage.citation}\n{passage.text}"
