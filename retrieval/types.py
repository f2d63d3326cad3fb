"""The vocabulary that every stage shares: frozen values, in the order in which data flows."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Mode = Literal["hybrid", "dense", "bm25"]
LegName = Literal["dense", "bm25"]

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
    """

    source: str
    title: str
    headings: tuple[str, ...]
    page: int | None
    page_end: int | None
    start: int
    end: int
    boxes: tuple[Box, ...] = ()


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
    """

    id: UUID
    text: str
    prefix: str
    position: int
    provenance: Provenance

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


@dataclass(frozen=True, slots=True)
class Scored:
    """One entry of a ranking: higher scores come first, equal ones by id."""

    id: UUID
    score: float


@dataclass(frozen=True, slots=True)
class LegScore:
    """A hit's place in one leg: ``rank`` from 1, ``score`` as the engine gave it."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A ranked passage, with the evidence for its rank.

    Attributes
    ----------
    rank
        From 1.
    score
        The fused score, or the leg's own score in a single-leg mode; higher is better and
        comparable within one question only.
    legs
        Place in each leg; ``None`` where that leg did not return the passage.
    """

    rank: int
    score: float
    chunk: Chunk
    legs: Mapping[LegName, LegScore | None]
