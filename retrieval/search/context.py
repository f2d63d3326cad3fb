"""Grounding context: hits as numbered, cited passages within a token budget; pure functions."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from twotower.retrieval.search.results import Hit
from twotower.retrieval.search.sentences import sentence_spans
from twotower.retrieval.vocabulary.documents import Chunk, with_headings, with_page


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of one document, made of neighbouring chunks.

    Attributes
    ----------
    number
        Number of the passage in citations, from 1.
    chunk_ids
        Ids of its chunks, in the order of the document.
    cut
        True if it was shortened to fit the budget.
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
    def location(self) -> str:
        """Source and first page, for people."""
        return with_page(self.source, self.page)

    @property
    def citation(self) -> str:
        """Source, page and heading, for people."""
        return with_headings(with_page(self.source, self.page, self.page_end), self.headings)


@dataclass(frozen=True, slots=True)
class Context:
    """Passages within a budget, and the number of tokens of their text."""

    passages: tuple[Passage, ...]
    tokens: int

    @property
    def text(self) -> str:
        """Text for a language model: each passage under its number and citation."""
        return "\n\n".join(_shown(passage) for passage in self.passages)


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring chunks, in the order of their document, and the best rank among them."""

    rank: int
    chunks: tuple[Chunk, ...]


def build_context(
    hits: Sequence[Hit], max_tokens: int, count_tokens: Callable[[str], int]
) -> Context:
    """Make a context of hits.

    A chunk, or a copy of it in another document, appears once. Neighbouring chunks become one
    passage, with their overlap written once. Passages are in the order of their best hit. Passages
    that do not fit are left out, except the first one: it is cut at the end of a sentence.

    Parameters
    ----------
    hits
        Hits, best first; their neighbouring chunks are used too.
    max_tokens
        Largest number of tokens of the whole text, with numbers and citations.
    count_tokens
        Function that counts tokens as the language model does.

    Raises
    ------
    ValueError
        If the budget is below 1.
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens is {max_tokens}: it must be at least 1")
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
    """Yield hits before their neighbours: of two equal texts, the hit is kept."""
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
        headings=_shared([c.provenance.headings for c in run.chunks if c.provenance.headings]),
        page=first.page,
        page_end=last.page_end,
        chunk_ids=tuple(chunk.id for chunk in run.chunks),
    )


def _continuation(before: Chunk, chunk: Chunk) -> str:
    """Return the part of a chunk that the one before it lacks, with a break in front."""
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
    """Keep as many whole sentences of a passage as fit."""
    fitting = None
    for _, end in sentence_spans(passage.text):
        shorter = replace(passage, text=passage.text[:end], cut=True)
        if count_tokens(_shown(shorter) + "\n\n") > room:
            break
        fitting = shorter
    return fitting


def _shown(passage: Passage) -> str:
    return f"[{passage.number}] {passage.citation}\n{passage.text}"
