"""Copies of a collection: replicas with any legs, and backups in both formats."""

import contextlib
import hashlib
import json
import sqlite3
from dataclasses import asdict, replace

import numpy as np
import pytest

from twotower.retrieval.index.backup import Backup
from twotower.retrieval.index.card import EncoderCard, IndexCard, LegCard, bm25_leg, dense_leg
from twotower.retrieval.index.catalog.local import LocalCatalog
from twotower.retrieval.index.payload import chunk_payload, document_payload
from twotower.retrieval.index.replicate import Replica, check_searches, checksum, difference
from twotower.retrieval.index.store.protocol import StoreOptions
from twotower.retrieval.models.bm25 import Bm25Settings
from twotower.retrieval.vocabulary.documents import Chunk, DocumentRecord, Provenance, chunk_id
from twotower.retrieval.vocabulary.errors import ConfigurationError, ServiceError
from twotower.retrieval.vocabulary.vectors import SparseVector

ENCODER = EncoderCard("mini", "f" * 64, 4)
BM25 = Bm25Settings(avg_len=57.3)
CARD = IndexCard(
    (
        dense_leg(ENCODER),
        bm25_leg(BM25),
        LegCard("tokens", "multi", 2, "t" * 64, {"name": "late"}),
    ),
    {"chunk_tokens": 256},
)
TEXTS = ["one fish", "two fish", "red fish", ""]


def chunk(position: int, text: str, source: str = "a.md") -> Chunk:
    provenance = Provenance(source, "A", (), None, None, 0, len(text))
    return Chunk(chunk_id(source, text, 0), text, "", position, provenance, {"n": position})


def record(source: str, chunks: int) -> DocumentRecord:
    return DocumentRecord(source, "/r", "A", "ff", 3, chunks, None, "2026-01-01T00:00:00+00:00")


def unit(rng, *shape: int) -> np.ndarray:
    rows = rng.standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


CHUNKS = [chunk(position, text) for position, text in enumerate(TEXTS)]


def vectors() -> dict[str, list]:
    rng = np.random.default_rng(0)
    return {
        "dense": [unit(rng, 4) for _ in CHUNKS],
        "bm25": [SparseVector(tuple(range(n + 1)), (0.5,) * (n + 1)) for n in range(3)]
        + [SparseVector((), ())],
        "tokens": [unit(rng, n + 1, 2) for n in range(4)],
    }


def write(target) -> None:
    target.write_chunks(CHUNKS, vectors())
    target.write_document(record("a.md", len(CHUNKS)))


@pytest.fixture
def catalog(tmp_path):
    return LocalCatalog(tmp_path, StoreOptions())


@pytest.fixture
def source(catalog):
    with catalog.create("docs", CARD) as collection:
        write(collection)
        yield collection


def require_same(one, other, names=("dense", "bm25", "tokens")) -> None:
    assert not difference(one, other)
    assert checksum(one) == checksum(other)
    ids = [chunk.id for chunk in CHUNKS]
    for name in names:
        first, second = one.vectors(name, ids), other.vectors(name, ids)
        assert first.keys() == second.keys() == set(ids)
        for id in ids:
            if isinstance(first[id], SparseVector):
                assert first[id] == second[id]
            else:
                assert first[id].shape == second[id].shape
                assert first[id] == pytest.approx(second[id], abs=1e-6)


def test_a_replica_copies_every_leg(catalog, source):
    with catalog.create("copy", CARD) as copy:
        replica = Replica(lambda: contextlib.nullcontext(source), copy)
        assert replica.run()
        require_same(source, copy)
        assert (replica.copied, replica.encoded) == (4, 0)
        check_searches(copy)


def test_legs_that_are_named_are_encoded_from_the_text_and_the_others_copied(catalog, source):
    encoded = []

    def encode(texts):
        encoded.extend(texts)
        return unit(np.random.default_rng(1), len(texts), 8)

    other = replace(CARD, legs=(dense_leg(EncoderCard("maxi", "a" * 64, 8)), *CARD.legs[1:]))
    with catalog.create("copy", other) as copy:
        replica = Replica(lambda: contextlib.nullcontext(source), copy, {"dense": encode})
        assert replica.run()
        require_same(source, copy, ("bm25", "tokens"))
        assert {row.shape for row in copy.vectors("dense", [CHUNKS[0].id]).values()} == {(8,)}
        assert encoded == [chunk.encoded_text for chunk in CHUNKS]
        assert replica.encoded == 4
        check_searches(copy)


def test_sparse_vectors_made_again_do_not_count_as_encoded(catalog, source):
    with catalog.create("copy", CARD) as copy:
        again = {"bm25": lambda texts: [SparseVector((7,), (1.0,)) for _ in texts]}
        replica = Replica(lambda: contextlib.nullcontext(source), copy, again)
        assert replica.run()
        assert replica.encoded == 0
        assert copy.vectors("bm25", [CHUNKS[0].id]) == {CHUNKS[0].id: SparseVector((7,), (1.0,))}


def test_a_leg_that_the_source_lacks_cannot_be_copied(catalog, source):
    more = replace(CARD, legs=(*CARD.legs, LegCard("second", "dense", 2, "s" * 64, {})))
    with catalog.create("copy", more) as copy:
        replica = Replica(lambda: contextlib.nullcontext(source), copy)
        with pytest.raises(ServiceError):
            replica.run()


def test_a_vector_that_does_not_find_itself_is_a_damaged_version(catalog):
    with catalog.create("docs", CARD) as collection:
        lacking = {name: rows for name, rows in vectors().items() if name != "tokens"}
        collection.write_chunks(CHUNKS, lacking)
        with pytest.raises(ServiceError, match="has no vector 'tokens'"):
            check_searches(collection)


def test_a_backup_holds_every_leg_and_comes_back_whole(catalog, source, tmp_path):
    file = tmp_path / "docs.backup"
    with contextlib.closing(Backup(file, new=CARD)) as backup:
        Replica(lambda: contextlib.nullcontext(source), backup).run()
        backup.seal("docs")
    with contextlib.closing(Backup(file)) as backup:
        assert (backup.collection, backup.card()) == ("docs", CARD)
        require_same(source, backup)
        with catalog.create("copy", backup.card()) as copy:
            Replica(lambda: contextlib.nullcontext(backup), copy).run()
            require_same(source, copy)


def test_a_backup_forgets_what_is_removed(tmp_path):
    file = tmp_path / "docs.backup"
    with contextlib.closing(Backup(file, new=CARD)) as backup:
        write(backup)
        backup.remove([CHUNKS[0].id])
        assert backup.chunk_counts() == {"a.md": 3}
        assert backup.remove_document("a.md") == 3
        assert backup.vectors("dense", [chunk.id for chunk in CHUNKS]) == {}
        assert list(backup._rows("SELECT * FROM vectors")) == []


def test_a_backup_that_was_not_sealed_is_refused(tmp_path):
    file = tmp_path / "docs.backup"
    with contextlib.closing(Backup(file, new=CARD)) as backup:
        write(backup)
        backup._database.commit()
    with pytest.raises(ConfigurationError, match="not a complete backup"):
        Backup(file)


FORMAT_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (source TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE chunks (id BLOB PRIMARY KEY, source TEXT NOT NULL, payload TEXT NOT NULL,
                     dense BLOB NOT NULL, terms BLOB NOT NULL, weights BLOB NOT NULL);
CREATE INDEX chunks_of ON chunks (source);
"""
CARD_OF_SCHEMA_3 = {
    "kind": "card",
    "encoder": asdict(ENCODER),
    "bm25": asdict(BM25),
    "chunking": {"chunk_tokens": 256},
    "search": {},
    "calibrations": {},
    "quantization": "none",
    "on_disk": False,
    "schema": 3,
}


def write_format_1(file) -> None:
    """A file as twotower wrote it before legs had names."""
    meta = {"format": "1", "collection": "docs", "card": json.dumps(CARD_OF_SCHEMA_3)}
    rows = {
        "meta": list(meta.items()),
        "documents": [("a.md", json.dumps(document_payload(record("a.md", len(CHUNKS)))))],
        "chunks": [
            (
                chunk.id.bytes,
                "a.md",
                json.dumps(chunk_payload(chunk)),
                np.asarray(dense, dtype="<f4").tobytes(),
                np.asarray(sparse.indices, dtype="<u4").tobytes(),
                np.asarray(sparse.values, dtype="<f4").tobytes(),
            )
            for chunk, dense, sparse in zip(
                CHUNKS, vectors()["dense"], vectors()["bm25"], strict=True
            )
        ],
    }
    sums = [
        hashlib.sha256(repr((table, *row)).encode()).digest()
        for table, of_table in rows.items()
        for row in of_table
    ]
    digest = sum(int.from_bytes(one, "big") for one in sums) % 2**256
    rows["meta"].append(("digest", f"{digest:064x}"))
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.executescript(FORMAT_1)
        for table, of_table in rows.items():
            marks = ", ".join("?" for _ in of_table[0])
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", of_table)
        database.commit()


def test_a_backup_of_format_1_comes_back_whole(catalog, tmp_path):
    file = tmp_path / "old.backup"
    write_format_1(file)
    before = file.read_bytes()
    with contextlib.closing(Backup(file)) as backup:
        card = backup.card()
        assert (card.encoder, card.bm25) == (ENCODER, BM25)
        with catalog.create("docs", card) as collection:
            Replica(lambda: contextlib.nullcontext(backup), collection).run()
            require_same(backup, collection, ("dense", "bm25"))
            found = collection.vectors("dense", [chunk.id for chunk in CHUNKS])
            for chunk, dense in zip(CHUNKS, vectors()["dense"], strict=True):
                assert found[chunk.id] == pytest.approx(dense, abs=1e-6)
    assert file.read_bytes() == before


def test_a_damaged_or_newer_backup_is_refused(tmp_path):
    file = tmp_path / "docs.backup"
    with contextlib.closing(Backup(file, new=CARD)) as backup:
        write(backup)
        backup.seal("docs")
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE vectors SET numbers = zeroblob(16) WHERE name = 'dense'")
        database.commit()
    with pytest.raises(ConfigurationError, match="damaged"):
        Backup(file)
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
        database.commit()
    with pytest.raises(ConfigurationError, match="has backup format '99'"):
        Backup(file)
