"""Passages and documents as frozen values, with their deterministic ids."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid5

Metadata = Mapping[str, str | int | float | tuple[str, ...]]

_NAMESPACE = UUID("7d9a3a52-6f0e-5d52-9f0a-8a3a1f0c2b11")

# Page (1-based), left, bottom, right, top, in PDF points from the page's lower left corner.
Box = tuple[int, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a passage comes from, precisely enough to open the document at that passage.

    Attributes
    ----------
    source
        Path of the document relative to the folder it was ingested from, with ``/``.
    title
        Title of the document, for display.
    headings
        Headings above the passage, outermost first.
    page, page_end
        First and last page, 1-based; ``None`` where the format has no pages.
    start, end
        Character offsets into the document's extracted text, half-open.
    boxes
        Positions of the passage's lines on the pages, for formats that provide them.
    modified
        Time of the file's last change, RFC 3339 in UTC. It is displayed and can be filtered on, but
        no decision depends on it.
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

    @property
    def location(self) -> str:
        """Source and page, for people."""
        return with_page(self.source, self.page)

    @property
    def citation(self) -> str:
        """Source, page and headings, for people."""
        return with_headings(self.location, self.headings)


def with_page(text: str, page: int | None, page_end: int | None = None) -> str:
    """Append a page, or a range of pages, to a text; a format without pages appends nothing."""
    if page is None:
        return text
    if page_end in (None, page):
        return f"{text}, page {page}"
    return f"{text}, pages {page}-{page_end}"


def with_headings(text: str, headings: Sequence[str]) -> str:
    """Append a heading path to a text."""
    return f"{text}, {' > '.join(headings)}" if headings else text


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of one document: ``text`` is displayed, ``prefix`` and ``text`` are encoded.

    Attributes
    ----------
    id
        Hash of source, encoded text and occurrence. An unchanged passage therefore keeps its id and
        its vectors when it moves within its document.
    position
        Number of the chunk in its document, from 0.
    prefix
        Title and headings that the passage itself does not contain; encoded, not displayed.
    metadata
        Keys and values from the document's sidecar file or front matter; not encoded.
    """

    id: UUID
    text: str
    prefix: str
    position: int
    provenance: Provenance
    metadata: Metadata = field(default_factory=dict)

    @property
    def encoded_text(self) -> str:
        """The text that the passage tower and BM25 encode."""
        return f"{self.prefix}\n{self.text}" if self.prefix else self.text


def chunk_id(source: str, encoded_text: str, occurrence: int) -> UUID:
    """Make a chunk's id from its source, its encoded text, and how often that text came before."""
    digest = hashlib.sha256(encoded_text.encode("utf-8", "surrogatepass")).hexdigest()
    return uuid5(_NAMESPACE, f"chunk\0{source}\0{digest}\0{occurrence}")


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """Record of one source file in a collection; writing it after the chunks is the commit.

    Attributes
    ----------
    root
        Absolute path of the folder that ``source`` is relative to, on the machine that ingested.
    content_hash
        SHA-256 of the file's bytes, hexadecimal.
    chunks
        Number of chunks of the document. If the collection holds more chunks of this source, a run
        ended before it had removed those of the old content.
    replaces
        The source of the document that this one was before its file was renamed: to be removed.
    checksum
        Checksum of the ids and payloads of its chunks; empty where an older version ingested it.
    warnings
        The parts of the file that were not read: place and reason, for its owner.
    outdated
        Why the file could not be read when it was last ingested, so that its chunks are those of an
        earlier content; empty where they are of the present one.
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
    checksum: str = ""
    warnings: tuple[str, ...] = ()
    outdated: str = ""

    @property
    def id(self) -> UUID:
        """Point id of the record; it depends on the source alone."""
        return document_id(self.source)


def document_id(source: str) -> UUID:
    """Make the id of a document's record from its source."""
    return uuid5(_NAMESPACE, f"document\0{source}")
