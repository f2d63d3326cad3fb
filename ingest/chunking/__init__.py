"""Cut a document into passages that follow its structure and fit the encoder's window.

A document is cut at headings and page ends, then between paragraphs, then between sentences, and
inside a sentence only if the sentence alone is longer than the window. Table rows and code lines
are not cut, and every part of a table repeats the column names.
"""

from collections import Counter
from collections.abc import Sequence

from tokenizers import Tokenizer

from twotower.ingest.chunking.packing import Packer, display_title
from twotower.ingest.chunking.sections import divide
from twotower.ingest.chunking.settings import ChunkSettings, Strategy
from twotower.ingest.chunking.spans import Span, TokenCounter
from twotower.ingest.chunking.text import boxes_within, document_text, line_boxes, trimmed
from twotower.ingest.elements import ParsedDocument
from twotower.retrieval.vocabulary.documents import Chunk, Provenance, chunk_id

__all__ = ["ChunkSettings", "Strategy", "chunk_document", "document_text"]


def chunk_document(
    source: str, document: ParsedDocument, tokenizer: Tokenizer, settings: ChunkSettings
) -> list[Chunk]:
    """Cut a document into chunks.

    Parameters
    ----------
    source
        Name of the document in its collection.
    tokenizer
        Tokenizer of the encoder, without truncation and padding.

    Returns
    -------
    list[Chunk]
        Chunks in document order. None encodes to more than ``settings.chunk_tokens`` tokens,
        special tokens included. Every character that is not white space is in at least one chunk.
    """
    tokens = TokenCounter(tokenizer)
    text = document_text(document.elements)
    packer = Packer(text, settings, tokens)
    title = display_title(document.title, source)
    boxes = line_boxes(document.elements)
    occurrences: Counter[str] = Counter()
    chunks: list[Chunk] = []
    for section in divide(document, settings, tokens):
        prefix = "" if section.notes else packer.prefix(title, section.headings, section.spans)
        for span in packer.chunks(section.spans, prefix):
            passage = trimmed(text, span.start, span.end)
            displayed = f"{span.header}\n{text[passage]}" if span.header else text[passage]
            encoded = f"{prefix}\n{displayed}" if prefix else displayed
            chunks.append(
                Chunk(
                    id=chunk_id(source, encoded, occurrences[encoded]),
                    text=displayed,
                    prefix=prefix,
                    position=len(chunks),
                    provenance=Provenance(
                        source=source,
                        title=document.title,
                        headings=section.headings,
                        page=span.page,
                        page_end=_page_at(section.spans, passage.stop),
                        start=passage.start,
                        end=passage.stop,
                        boxes=tuple(boxes_within(boxes, passage)),
                    ),
                )
            )
            occurrences[encoded] += 1
    return chunks


def _page_at(spans: Sequence[Span], end: int) -> int | None:
    return next((span.page for span in reversed(spans) if span.start < end), None)
