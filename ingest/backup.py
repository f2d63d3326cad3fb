"""A collection in one file: an SQLite database that needs neither engine nor encoder to be read.

::

    meta        key, value             format, collection, card, digest (of all other rows)
    documents   source, record         JSON
    chunks      id, source, payload,   JSON; little-endian float32 for dense and weights, uint32
                dense, terms, weights  for terms
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from retrieval.errors import ConfigurationError, ServiceError
from retrieval.store.card import IndexCard
from retrieval.store.payload import (
    chunk_from_payload,
    chunk_payload,
    document_from_payload,
    document_payload,
)
from retrieval.types import Chunk, DocumentRecord, SparseVector
from retrieval.vectors import Vectors

FORMAT = 1
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (source TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE chunks (id BLOB PRIMARY KEY, source TEXT NOT NULL, payload TEXT NOT NULL,
                     dense BLOB NOT NULL, terms BLOB NOT NULL, weights BLOB NOT NULL);
CREATE INDEX chunks_of ON chunks (source);
"""


class Backup:
    """A backup file, as `ingest.replicate` reads and writes it.

    Parameters
    ----------
    path
        The file.
    new
        Whether it is made; else it has to be complete.

    Raises
    ------
    ConfigurationError
        If the file is no backup, is not complete, or of a newer format.
    """

    def __init__(self, path: Path, *, new: bool = False) -> None:
        self._path = path
        self._new = new
        with self._translated():
            target = path if new else f"{path.absolute().as_uri()}?mode=ro"
            self._database = sqlite3.connect(target, uri=not new)
        if new:
            with self._translated():
                self._database.executescript(_SCHEMA)
            return
        meta = self._meta()
        if not {"format", "collection", "card", "digest"} <= meta.keys():
            raise ConfigurationError(f"{path} is no complete backup of twotower: use another one")
        if meta["format"] != str(FORMAT):
            raise ConfigurationError(
                f"{path} has backup format {meta['format'][:20]!r}, this twotower reads {FORMAT}: "
                "use the version that wrote it, or a newer one"
            )
        if meta["digest"] != self._digest():
            raise self._damaged()

    @property
    def collection(self) -> str:
        """The name of the collection that was backed up."""
        return self._meta()["collection"]

    def card(self) -> IndexCard:
        """See `Collection.card`."""
        return IndexCard.from_payload(json.loads(self._meta()["card"]), self.collection)

    def seal(self, collection: str, card: IndexCard) -> None:
        """Write down what the file is: without it, it is not complete."""
        meta = {
            "format": str(FORMAT),
            "collection": collection,
            "card": json.dumps(card.to_payload()),
        }
        with self._translated():
            self._database.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            digest = ("digest", self._digest())
            self._database.execute("INSERT INTO meta VALUES (?, ?)", digest)
            self._database.commit()

    def documents(self) -> Iterator[DocumentRecord]:
        """See `Collection.documents`."""
        for (record,) in self._rows("SELECT record FROM documents ORDER BY source"):
            yield document_from_payload(json.loads(record))

    def document(self, source: str) -> DocumentRecord | None:
        """See `Collection.document`."""
        for (record,) in self._rows("SELECT record FROM documents WHERE source = ?", source):
            return document_from_payload(json.loads(record))
        return None

    def chunk_counts(self) -> dict[str, int]:
        """See `Collection.chunk_counts`."""
        return dict(self._rows("SELECT source, count(*) FROM chunks GROUP BY source"))

    def chunks_of(self, source: str) -> list[Chunk]:
        """See `Collection.chunks_of`."""
        rows = self._rows("SELECT id, payload FROM chunks WHERE source = ?", source)
        chunks = [_chunk(id, payload) for id, payload in rows]
        return sorted(chunks, key=lambda chunk: (chunk.position, chunk.id.int))

    def all_chunks(self) -> Iterator[Chunk]:
        """See `Collection.all_chunks`."""
        for id, payload in self._rows("SELECT id, payload FROM chunks"):
            yield _chunk(id, payload)

    def dense_vectors(self, ids: Sequence[UUID]) -> dict[UUID, Vectors]:
        """See `Collection.dense_vectors`."""
        return {
            id: np.frombuffer(dense, dtype="<f4")
            for id in ids
            for (dense,) in self._rows("SELECT dense FROM chunks WHERE id = ?", id.bytes)
        }

    def term_weights(self, ids: Sequence[UUID]) -> dict[UUID, SparseVector]:
        """See `Collection.term_weights`."""
        return {
            id: SparseVector(
                tuple(np.frombuffer(terms, dtype="<u4").tolist()),
                tuple(np.frombuffer(weights, dtype="<f4").tolist()),
            )
            for id in ids
            for terms, weights in self._rows(
                "SELECT terms, weights FROM chunks WHERE id = ?", id.bytes
            )
        }

    def write_chunks(
        self, chunks: Sequence[Chunk], dense: Vectors, bm25: Sequence[SparseVector]
    ) -> None:
        """See `Collection.write_chunks`."""
        rows = [
            (
                chunk.id.bytes,
                chunk.provenance.source,
                json.dumps(chunk_payload(chunk)),
                np.asarray(vector, dtype="<f4").tobytes(),
                np.asarray(sparse.indices, dtype="<u4").tobytes(),
                np.asarray(sparse.values, dtype="<f4").tobytes(),
            )
            for chunk, vector, sparse in zip(chunks, dense, bm25, strict=True)
        ]
        with self._translated():
            self._database.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", rows)

    def update_chunks(self, chunks: Sequence[Chunk]) -> None:
        """See `Collection.update_chunks`."""
        rows = [(json.dumps(chunk_payload(chunk)), chunk.id.bytes) for chunk in chunks]
        with self._translated():
            self._database.executemany("UPDATE chunks SET payload = ? WHERE id = ?", rows)

    def write_document(self, record: DocumentRecord) -> None:
        """See `Collection.write_document`."""
        row = (record.source, json.dumps(document_payload(record)))
        with self._translated():
            self._database.execute("INSERT OR REPLACE INTO documents VALUES (?, ?)", row)

    def remove(self, ids: Sequence[UUID]) -> None:
        """See `Collection.remove`."""
        with self._translated():
            self._database.executemany(
                "DELETE FROM chunks WHERE id = ?", [(id.bytes,) for id in ids]
            )

    def remove_document(self, source: str) -> int:
        """See `Collection.remove_document`."""
        with self._translated():
            self._database.execute("DELETE FROM documents WHERE source = ?", (source,))
            gone = self._database.execute("DELETE FROM chunks WHERE source = ?", (source,))
            return gone.rowcount

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _digest(self) -> str:
        """SHA-256 sum of all rows, whatever their order."""
        total = 0
        for table in ("meta", "documents", "chunks"):
            for row in self._rows(f"SELECT * FROM {table}"):  # noqa: S608 - names of our own
                if row[0] != "digest":
                    content = repr((table, *row)).encode("utf-8", "surrogatepass")
                    total += int.from_bytes(hashlib.sha256(content).digest(), "big")
        return f"{total % 2**256:064x}"

    def _damaged(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self._path} is damaged or no backup of twotower: use another one"
        )

    def _meta(self) -> dict[str, str]:
        return dict(self._rows("SELECT key, value FROM meta"))

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        with self._translated():
            yield from self._database.execute(query, values)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if self._new:
                raise ServiceError(
                    f"backup {self._path} cannot be written ({error}): make room, or choose "
                    "another place"
                ) from error
            raise self._damaged() from error  # the library's own words may quote a document


def _chunk(id: bytes, payload: str) -> Chunk:
    return chunk_from_payload(UUID(bytes=id), json.loads(payload))
