"""Chunks and document records as stored payloads, and back."""

from dataclasses import asdict, fields
from pathlib import PurePosixPath
from uuid import UUID

from twotower.retrieval.index.store.protocol import Payload
from twotower.retrieval.vocabulary.documents import Chunk, DocumentRecord, Provenance

_PROVENANCE = tuple(field.name for field in fields(Provenance))
_DOCUMENT = tuple(field.name for field in fields(DocumentRecord))


def chunk_payload(chunk: Chunk) -> dict[str, object]:
    """Flatten a chunk, so that every field of its provenance can be filtered on."""
    provenance = asdict(chunk.provenance)
    provenance["headings"] = list(chunk.provenance.headings)
    provenance["boxes"] = [list(box) for box in chunk.provenance.boxes]
    path = PurePosixPath(chunk.provenance.source)
    return {
        "kind": "chunk",
        "folder": [parent.as_posix() for parent in path.parents if parent.name],
        "type": path.suffix.lower().removeprefix("."),
        "meta": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in chunk.metadata.items()
        },
        "meta_keys": sorted(chunk.metadata),
        "text": chunk.text,
        "prefix": chunk.prefix,
        "position": chunk.position,
        **provenance,
    }


def chunk_from_payload(id: UUID, payload: Payload) -> Chunk:
    """Read a chunk back."""
    provenance = {name: payload[name] for name in _PROVENANCE}
    provenance["headings"] = tuple(provenance["headings"])
    provenance["boxes"] = tuple((int(box[0]), *box[1:]) for box in provenance["boxes"])
    return Chunk(
        id=id,
        text=payload["text"],
        prefix=payload["prefix"],
        position=payload["position"],
        provenance=Provenance(**provenance),
        metadata={
            key: tuple(value) if isinstance(value, list) else value
            for key, value in payload["meta"].items()
        },
    )


def document_payload(record: DocumentRecord) -> dict[str, object]:
    """Turn a document record into a payload."""
    return {"kind": "document", **asdict(record), "warnings": list(record.warnings)}


def document_from_payload(payload: Payload) -> DocumentRecord:
    """Read a document record back."""
    known = {name: payload[name] for name in _DOCUMENT if name in payload}  # older ones have less
    return DocumentRecord(**{**known, "warnings": tuple(payload.get("warnings", ()))})
