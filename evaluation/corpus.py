"""Writes a corpus into a new collection, chunked and encoded like ingested documents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from twotower.evaluation.dataset import Document
from twotower.ingest.chunking import ChunkSettings, chunk_document
from twotower.ingest.elements import Element, ParsedDocument
from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.legs import Leg
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.models.model_folder import load_tokenizer
from twotower.retrieval.vocabulary.documents import Chunk, chunk_id
from twotower.retrieval.vocabulary.ranking import LegName

_GROUP = 512


def chunks_of(document: Document, encoder: Encoder, settings: ChunkSettings) -> list[Chunk]:
    """Divide a document into chunks. Its id becomes their source, but is not encoded."""
    text = document.text.strip() or document.title
    parsed = ParsedDocument(document.title.strip(" ."), (Element(text),))
    chunks = chunk_document("", parsed, load_tokenizer(encoder.model.path), settings)
    return [
        replace(
            chunk,
            id=chunk_id(document.id, chunk.encoded_text, chunk.position),
            provenance=replace(chunk.provenance, source=document.id),
        )
        for chunk in chunks
    ]


def write(
    chunks: Sequence[Chunk],
    legs: Mapping[LegName, Leg],
    settings: ChunkSettings,
    create: Callable[[IndexCard], Collection],
    progress: Callable[[int], None] = lambda _: None,
) -> Collection:
    """Write chunks to a new collection.

    Parameters
    ----------
    legs
        The legs of the collection, by name.
    create
        Function from a card to an empty collection.
    progress
        Function that is called with the number of chunks that were encoded since its last call.
    """
    cards = tuple(leg.card for leg in legs.values())
    collection = create(IndexCard(cards, settings.to_card()))
    for start in range(0, len(chunks), _GROUP):
        group = chunks[start : start + _GROUP]
        texts = [chunk.encoded_text for chunk in group]
        collection.write_chunks(
            group, {name: leg.encode_passages(texts) for name, leg in legs.items()}
        )
        progress(len(group))
    return collection
