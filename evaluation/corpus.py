"""A corpus into a collection of its own: cut as documents are, encoded, written."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from evaluation.dataset import Document
from ingest.chunking import ChunkSettings, chunk_document
from ingest.elements import Element, ParsedDocument
from retrieval.collection import Collection
from retrieval.encoder import Encoder
from retrieval.lexical import Bm25, Bm25Settings, fitted
from retrieval.model_folder import load_tokenizer
from retrieval.store.card import EncoderCard, IndexCard
from retrieval.types import Chunk, chunk_id

_GROUP = 512


def chunks_of(document: Document, encoder: Encoder, settings: ChunkSettings) -> list[Chunk]:
    """Cut one document; its id is the source, and is not encoded, since it is nobody's choice."""
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
    encoder: Encoder,
    settings: ChunkSettings,
    language: str,
    create: Callable[[IndexCard], Collection],
    progress: Callable[[int], None] = lambda _: None,
) -> Collection:
    """Write chunks to a new collection.

    Parameters
    ----------
    create
        From a card to an empty collection.
    progress
        Told how many chunks were encoded just now.
    """
    bm25 = fitted(Bm25Settings(language=language), [chunk.encoded_text for chunk in chunks])
    card = EncoderCard.of(encoder.model, encoder.dimension)
    collection = create(IndexCard(card, bm25, settings.to_card()))
    lexical = Bm25(bm25)
    for start in range(0, len(chunks), _GROUP):
        group = chunks[start : start + _GROUP]
        dense = encoder.encode_passages([chunk.encoded_text for chunk in group])
        sparse = [lexical.encode_passage(chunk.encoded_text) for chunk in group]
        collection.write_chunks(group, dense, sparse)
        progress(len(group))
    return collection
