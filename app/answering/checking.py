"""Checks of the citations in a generated answer.

The passage that a sentence cites must exist, one of its sentences must be close to the answer's,
and every number in the answer's sentence must occur in it. A sentence that fails is marked, never
hidden.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import numpy as np

from twotower.app.answering.answer import Citation, Claim
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.search.context import Passage
from twotower.retrieval.search.results import Hit
from twotower.retrieval.search.sentences import sentence_spans
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.vectors import Vectors

# Cosine of a sentence of an answer and the closest one of its passage. Of sentences compared with
# passages of other questions fewer than 1 in 100 reach it (`benchmarks.answers`).
SUPPORTED = 0.5
MAX_SENTENCES = 40  # of one passage; more are the rows of a table
_CITED = re.compile(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")


def checked_claims(
    encoder: Encoder, text: str, passages: Sequence[Passage], hits: Sequence[Hit]
) -> tuple[Claim, ...]:
    """Split an answer into sentences, and check the citations of each.

    Parameters
    ----------
    passages
        The passages that the model was given.
    hits
        The hits that the passages were made from.
    """
    chunks = {hit.chunk.id: hit.chunk for hit in hits}
    sentences = _sentences(text)
    plain = [" ".join(_CITED.sub(" ", sentence).split()) for sentence in sentences]
    by_number = {passage.number: passage for passage in passages}
    quotes = {passage.number: _quotes(passage) for passage in passages}
    texts = [quote for own in quotes.values() for quote in own]
    rows = encoder.encode_passages([*plain, *texts])
    rest = iter(rows[len(plain) :])
    vectors = {number: np.stack([next(rest) for _ in own]) for number, own in quotes.items()}
    claims = []
    for sentence, bare, row in zip(sentences, plain, rows[: len(plain)], strict=True):
        numbers = _cited_numbers(sentence)
        cited = [by_number[number] for number in numbers if number in by_number]
        citations = [_citation(passage, row, quotes, vectors, chunks) for passage in cited]
        claims.append(_claim(sentence, bare, numbers, citations, cited))
    return tuple(claims)


def _cited_numbers(sentence: str) -> list[int]:
    """Read the numbers of the cited passages, each once, in their order."""
    groups = _CITED.findall(sentence)
    return list(dict.fromkeys(int(number) for group in groups for number in group.split(",")))


def _citation(
    passage: Passage,
    row: Vectors,
    quotes: Mapping[int, Sequence[str]],
    vectors: Mapping[int, Vectors],
    chunks: Mapping[UUID, Chunk],
) -> Citation:
    """Find the sentence of a passage that is closest to a sentence of the answer."""
    cosines = vectors[passage.number] @ row
    best = int(np.argmax(cosines))
    quote = quotes[passage.number][best]
    chunk = _chunk_with([chunks[id] for id in passage.chunk_ids], quote)
    origin = chunk.provenance
    supported = float(cosines[best]) >= SUPPORTED
    return Citation(passage.number, str(chunk.id), origin.source, origin.page, quote, supported)


def _claim(
    sentence: str,
    bare: str,
    numbers: Sequence[int],
    citations: Sequence[Citation],
    passages: Sequence[Passage],
) -> Claim:
    """Mark a sentence that none of its citations supports."""
    unknown = [number for number in numbers if number not in {c.number for c in citations}]
    stated = set(_NUMBER.findall(bare))
    occurring = {n for p in passages for n in _NUMBER.findall(f"{p.citation}\n{p.text}")}
    if missing := sorted(stated - occurring):
        citations = [replace(citation, supported=False) for citation in citations]
    if unknown:
        problem = f"cites {', '.join(f'[{n}]' for n in unknown)}, which does not exist"
    elif not citations:
        problem = "cites nothing"
    elif missing:
        problem = f"{', '.join(missing)} does not occur in the cited passage"
    elif not any(citation.supported for citation in citations):
        problem = "the cited passage says something else"
    else:
        problem = ""
    return Claim(sentence, tuple(citations), problem)


def _sentences(text: str) -> list[str]:
    """Split a text into sentences, each with the citations after it."""
    starts = [start for start, _ in sentence_spans(text)]
    for n, start in enumerate(starts):  # "... staff. [1] The next": the number goes with the first
        leading = re.match(r"(?:\[[\d,\s]+\]\s*)+", text[start:])
        if n and leading:
            starts[n] = start + leading.end()
    ends = [*starts[1:], len(text)]
    return [text[start:end].strip() for start, end in zip([0, *starts[1:]], ends, strict=True)]


def _chunk_with(chunks: Sequence[Chunk], quote: str) -> Chunk:
    """Find the chunk of a passage that contains a quotation: its page is the one to open."""
    return next((c for c in chunks if quote in " ".join(c.text.split())), chunks[0])


def _quotes(passage: Passage) -> list[str]:
    spans = sentence_spans(passage.text)[:MAX_SENTENCES]
    return [" ".join(passage.text[start:end].split()) for start, end in spans]
