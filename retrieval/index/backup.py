"""A collection in one file: an SQLite database that needs neither engine nor encoder to be read.

::

    meta        key, value             format, collection, card, digest (of all other rows)
    documents   source, record         JSON
    chunks      id, source, payload    JSON
    vectors     chunk_id, name, kind,  kind: dense, sparse or multi; little-endian uint32 for terms,
                length, terms, numbers float32 for numbers; length: of one row

Format 1 had the vectors of its two legs in the table ``chunks``; such files are still read.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.index.payload import (
    chunk_from_payload,
    chunk_payload,
    document_from_payload,
    document_payload,
)
from twotower.retrieval.vocabulary.documents import Chunk, DocumentRecord
from twotower.retrieval.vocabulary.errors import ConfigurationError, ServiceError
from twotower.retrieval.vocabulary.vectors import Rows, SparseVector, Vector

FORMAT = 2
_TABLES = {
    "1": ("meta", "documents", "chunks"),
    "2": ("meta", "documents", "chunks", "vectors"),
}
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (source TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE chunks (id BLOB PRIMARY KEY, source TEXT NOT NULL, payload TEXT NOT NULL);
CREATE TABLE vectors (chunk_id BLOB NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
                      length INTEGER NOT NULL, terms BLOB NOT NULL, numbers BLOB NOT NULL,
                      PRIMARY KEY (chunk_id, name)) WITHOUT ROWID;
CREATE INDEX chunks_of ON chunks (source);
"""
_VECTORS_OF_FORMAT_1 = """
CREATE TEMP VIEW vectors AS
SELECT id AS chunk_id, 'dense' AS name, 'dense' AS kind, 0 AS length, x'' AS terms,
       dense AS numbers FROM chunks
UNION ALL
SELECT id, 'bm25', 'sparse', 0, terms, weights FROM chunks;
"""


class Backup:
    """A backup file, as `twotower.retrieval.index.replicate` reads and writes it.

    Parameters
    ----------
    path
        The file.
    new
        Card of a new backup, which is complete once it is sealed; ``None`` opens a complete one.

    Raises
    ------
    ConfigurationError
        If the file is not a backup, is not complete, or has a newer format.
    """

    def __init__(self, path: Path, *, new: IndexCard | None = None) -> None:
        self._path = path
        self._new = new is not None
        with self._translated():
            target = path if new else f"{path.absolute().as_uri()}?mode=ro"
            self._database = sqlite3.connect(target, uri=new is None)
        if new is not None:
            with self._translated():
                self._database.executescript(_SCHEMA)
            self._write_meta(format=str(FORMAT), card=json.dumps(new.to_payload()))
            return
        meta = self._meta()
        if not {"format", "collection", "card", "digest"} <= meta.keys():
            raise ConfigurationError(
                f"{path} is not a complete backup of twotower: use another file"
            )
        if meta["format"] not in _TABLES:
            raise ConfigurationError(
                f"{path} has backup format {meta['format'][:20]!r}, this twotower reads "
                f"{' and '.join(_TABLES)}: use the version that wrote it, or a newer one"
            )
        if meta["digest"] != self._digest(meta["format"]):
            raise self._damaged()
        if meta["format"] == "1":
            with self._translated():
                self._database.executescript(_VECTORS_OF_FORMAT_1)

    @property
    def collection(self) -> str:
        """The name of the collection that was backed up."""
        return self._meta()["collection"]

    def card(self) -> IndexCard:
        """See `Collection.card`."""
        meta = self._meta()
        return IndexCard.from_payload(json.loads(meta["card"]), meta.get("collection", ""))

    def seal(self, collection: str) -> None:
        """Complete the file: without the collection's name and the digest it is not a backup."""
        self._write_meta(collection=collection)
        self._write_meta(digest=self._digest(str(FORMAT)))
        with self._translated():
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

    def vectors(self, name: str, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        """See `Collection.vectors`."""
        query = "SELECT kind, length, terms, numbers FROM vectors WHERE chunk_id = ? AND name = ?"
        return {id: _vector(*row) for id in ids for row in self._rows(query, id.bytes, name)}

    def write_chunks(self, chunks: Sequence[Chunk], vectors: Mapping[str, Rows]) -> None:
        """See `Collection.write_chunks`."""
        rows = [
            (chunk.id.bytes, chunk.provenance.source, json.dumps(chunk_payload(chunk)))
            for chunk in chunks
        ]
        numbers = [
            (chunk.id.bytes, name, *_columns(vector))
            for name, of_name in vectors.items()
            for chunk, vector in zip(chunks, of_name, strict=True)
        ]
        with self._translated():
            self._database.executemany("INSERT INTO chunks VALUES (?, ?, ?)", rows)
            self._database.executemany("INSERT INTO vectors VALUES (?, ?, ?, ?, ?, ?)", numbers)

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
            for query in (
                "DELETE FROM chunks WHERE id = ?",
                "DELETE FROM vectors WHERE chunk_id = ?",
            ):
                self._database.executemany(query, [(id.bytes,) for id in ids])

    def remove_document(self, source: str) -> int:
        """See `Collection.remove_document`."""
        with self._translated():
            self._database.execute("DELETE FROM documents WHERE source = ?", (source,))
            self._database.execute(
                "DELETE FROM vectors WHERE chunk_id IN (SELECT id FROM chunks WHERE source = ?)",
                (source,),
            )
            removed = self._database.execute("DELETE FROM chunks WHERE source = ?", (source,))
            return removed.rowcount

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _digest(self, format: str) -> str:
        """SHA-256 sum of all rows of the format's tables, whatever their order."""
        total = 0
        for table in _TABLES[format]:
            for row in self._rows(f"SELECT * FROM {table}"):  # noqa: S608 - names of our own
                if row[0] != "digest":
                    content = repr((table, *row)).encode("utf-8", "surrogatepass")
                    total += int.from_bytes(hashlib.sha256(content).digest(), "big")
        return f"{total % 2**256:064x}"

    def _damaged(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self._path} is damaged or not a backup of twotower: use another file"
        )

    def _meta(self) -> dict[str, str]:
        return dict(self._rows("SELECT key, value FROM meta"))

    def _write_meta(self, **values: str) -> None:
        with self._translated():
            self._database.executemany("INSERT INTO meta VALUES (?, ?)", values.items())

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
                    "another file"
                ) from error
            raise self._damaged() from error  # the library's message may quote a document


def _chunk(id: bytes, payload: str) -> Chunk:
    return chunk_from_payload(UUID(bytes=id), json.loads(payload))


def _columns(vector: Vector) -> tuple[str, int, bytes, bytes]:
    """Turn a vector into the columns kind, length, terms and numbers."""
    if isinstance(vector, SparseVector):
        terms = np.asarray(vector.indices, dtype="<u4").tobytes()
        return "sparse", 0, terms, np.asarray(vector.values, dtype="<f4").tobytes()
    numbers = np.asarray(vector, dtype="<f4")
    return "dense" if numbers.ndim == 1 else "multi", numbers.shape[-1], b"", numbers.tobytes()


def _vector(kind: str, length: int, terms: bytes, numbers: bytes) -> Vector:
    values = np.frombuffer(numbers, dtype="<f4")
    if kind == "sparse":
        indices = np.frombuffer(terms, dtype="<u4")
        return SparseVector(tuple(indices.tolist()), tuple(values.tolist()))
    return values if kind == "dense" else values.reshape(-1, length)
