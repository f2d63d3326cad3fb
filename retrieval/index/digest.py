"""Digests of stored points, which do not depend on the order of the points."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from uuid import UUID

from twotower.retrieval.index.payload import chunk_payload
from twotower.retrieval.vocabulary.documents import Chunk


def point_digest(id: UUID, payload: Mapping[str, object]) -> int:
    """SHA-256 of a point's id and payload, as a number; sums of them do not depend on the order."""
    content = json.dumps([str(id), payload], sort_keys=True, ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(content.encode()).digest(), "big")


def document_checksum(chunks: Iterable[Chunk]) -> str:
    """Sum of the digests of a document's chunks: 64 hexadecimal digits.

    Vectors are not part of it, so that it stays the same when a collection is re-indexed.
    """
    total = sum(point_digest(chunk.id, chunk_payload(chunk)) for chunk in chunks)
    return f"{total % 2**256:064x}"
