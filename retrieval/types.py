"""The vocabulary that every stage shares: frozen values, in the order in which data flows."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from uuid import UUID, uuid5

Mode = Literal["hybrid", "dense", "bm25"]
LegName = Literal["dense", "bm25"]
Metadata = Mapping[str, str | int | float | tuple[str, ...]]

_NAMESPACE = UUID("7d9a3a52-6f0e-5d52-9f0a-8a3a1f0c2b11")


# Page (1-based), left, bottom, right, top: PDF points from the page's lower left corner.
Box = tuple[int, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a passage comes from, precise enough to open it there.

    Attributes
    ----------
    source
        The document's path relative to the folder it was ingested from, with ``/``.
    title
        The document's title, for display.
    headings
        The heading path above the passage, outermost first.
    page, page_end
        First and last page, 1-based; ``None`` where the format has no pages.
    start, end
        Character offsets into the document's extracted text, half-open.
    boxes
        Where the passage's lines stand on the pages, for a format that tells.
    modified
        When the file was last changed, RFC 3339 in UTC; told and filtered on, never decided by.
    """

    source: str
    title: str
    headings: tuple[str, ...]
    page: int | None
    page_end: int | None
    start: int
    end: int
    boxes: tuple[Box, ...] = ()
    modified: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of one document, as displayed (``text``) and as encoded (``prefix`` + ``text``).

    Attributes
    ----------
    id
        From source, encoded text and occurrence, so that an unchanged passage keeps its id, and
        with it its vectors, when it moves within its document.
    position
        Ordinal of the chunk in its document, from 0.
    prefix
        Title and headings that the passage itself does not show; encoded, not displayed.
    metadata
        What the person says of the document, beside it or in its front matter; not encoded.
    """

    id: UUID
    text: str
    prefix: str
    position: int
    provenance: Provenance
    metadata: Metadata = field(default_factory=dict)

    @property
    def encoded_text(self) -> str:
        """What both towers and BM25 see of this passage."""
        return f"{self.prefix}\n{self.text}" if self.prefix else self.text


def chunk_id(source: str, encoded_text: str, occurrence: int) -> UUID:
    """Identify a chunk by its document, what is encoded, and how often that came before."""
    digest = hashlib.sha256(encoded_text.encode("utf-8", "surrogatepass")).hexdigest()
    return uuid5(_NAMESPACE, f"chunk\0{source}\0{digest}\0{occurrence}")


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """What the collection knows of one source file; written after its chunks, as the commit.

    Attributes
    ----------
    root
        Absolute path of the folder that ``source`` is relative to, on the machine that ingested.
    content_hash
        SHA-256 of the file's bytes, hexadecimal.
    chunks
        How many chunks the document has. Where the collection holds more of its source, a run died
        before it had removed those of the old content.
    replaces
        The source of the document that this one was before its file was renamed: to be removed.
    """

    source: str
    root: str
    title: str
    content_hash: str
    size: int
    chunks: int
    pages: int | None
    ingested_at: str
    replaces: str = ""

    @property
    def id(self) -> UUID:
        """The record's point id, from its source alone."""
        return document_id(self.source)


def document_id(source: str) -> UUID:
    """Identify a document's record."""
    return uuid5(_NAMESPACE, f"document\0{source}")


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Indices of terms and their weights, in the same order."""

    indices: tuple[int, ...]
    values: tuple[float, ...]

    def weight(self, index: int) -> float:
        """The weight of one term; 0 where it is absent."""
        return self.values[self.indices.index(index)] if index in self.indices else 0.0


# Hundreds of these are made for each question: a tuple takes a third of a frozen dataclass's time.
class Scored(NamedTuple):
    """One entry of a ranking: higher scores come first, equal ones by id."""

    id: UUID
    score: float


class LegScore(NamedTuple):
    """A hit's place in one leg.

    Attributes
    ----------
    rank
        From 1; ``None`` where the passage was not among the leg's candidates and its score was
        asked for by its id.
    score
        As the engine gave it: a cosine in [-1, 1], or a BM25 score of at least 0.
    """

    rank: int | None
    score: float


@dataclass(frozen=True, slots=True)
class TermWeight:
    """What one term of the question adds to a passage's BM25 score: ``asked * idf * weight``.

    Attributes
    ----------
    term
        The word of the question.
    asked
        Its weight in the question: 1, or less where feedback added it.
    idf
        Inverse document frequency in this collection; of a term that no passage has as well.
    weight
        The passage's saturated, length-normalised frequency of the term; 0 where it lacks it.
    """

    term: str
    asked: float
    idf: float
    weight: float

    @property
    def score(self) -> float:
        """The share of the BM25 score."""
        return self.asked * self.idf * self.weight


@dataclass(frozen=True, slots=True)
class Sentence:
    """A stretch of a passage, ``[start, end)`` in its text, and its cosine to the question."""

    start: int
    end: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a hit stands where it does, in numbers that add up.

    Attributes
    ----------
    parts
        For each leg what it adds to the fused score: ``weight * normalised``, as a pair.
    background
        Mean and standard deviation of the question's cosine with a sample of the collection;
        ``None`` where the fusion does not use them.
    question_idf
        Sum of ``asked * idf`` over the question's terms, which BM25 scores are divided by.
    terms
        The question's terms, most telling first.
    closest
        The sentence that is closest to the question.
    added
        Terms that pseudo-relevance feedback added to the question, with their weights.
    """

    parts: Mapping[LegName, tuple[float, float]]
    background: tuple[float, float] | None
    question_idf: float
    terms: tuple[TermWeight, ...]
    closest: Sentence | None
    added: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Reranked:
    """What a reranker made of a hit: its score, and how many places up (or down) it moved."""

    score: float
    moved: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether what was found answers the question.

    Attributes
    ----------
    answerable
        ``"unknown"`` where the collection was never calibrated.
    probability
        That it does, in [0, 1]; ``None`` where unknown.
    features
        What it was judged by: see `retrieval.abstention`.
    """

    answerable: Literal["true", "false", "unknown"] = "unknown"
    probability: float | None = None
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """A ranked passage, with the evidence for its rank.

    Attributes
    ----------
    rank
        From 1.
    score
        What the order follows: the leg's own score, the fused one, or that after reranking; higher
        is better, and comparable within one question only.
    legs
        Place in each leg; ``None`` where the leg did not run, or the passage has none of the terms.
    fused
        The score before reranking.
    reranked
        ``None`` where the passage was not reranked.
    out_of_time
        Whether reranking ended early, because its time was up.
    before, after
        The chunks next to this one in its document, as many as were asked for.
    """

    rank: int
    score: float
    chunk: Chunk
    legs: Mapping[LegName, LegScore | None]
    fused: float = 0.0
    reranked: Reranked | None = None
    out_of_time: bool = False
    explanation: Explanation | None = None
    before: tuple[Chunk, ...] = ()
    after: tuple[Chunk, ...] = ()
    judgement: Judgement = field(default_factory=Judgement)
