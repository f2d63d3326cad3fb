import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace
from uuid import UUID

import numpy as np
import pytest

from twotower.retrieval.index.store import edge
from twotower.retrieval.index.store.edge import EdgeStore
from twotower.retrieval.index.store.protocol import Point, StoreOptions, VectorQuery, VectorSpec
from twotower.retrieval.vocabulary.errors import InUse, ServiceError
from twotower.retrieval.vocabulary.filters import where

VECTORS = [VectorSpec("dense", "dense", 4), VectorSpec("bm25", "sparse")]
HOLD = """
import sys, time
from pathlib import Path
from twotower.retrieval.index.store.edge import EdgeStore
from twotower.retrieval.index.store.protocol import VectorSpec
store = EdgeStore(Path(sys.argv[1]), [VectorSpec("dense", "dense", 4)])
print("open", flush=True)
time.sleep(60)
"""


def test_the_error_of_a_second_process_names_the_owner(tmp_path):
    folder = tmp_path / "docs"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout.readline() == "open\n"
        with pytest.raises(ServiceError, match=f"open in process {owner.pid} "):
            EdgeStore(folder)
        owner.kill()
    EdgeStore(folder).close()  # the lock ended with its owner


def test_points_survive_a_kill(tmp_path):
    script = HOLD.replace(
        "time.sleep(60)",
        "from uuid import UUID; from twotower.retrieval.index.store.protocol import Point\n"
        "store.upsert([Point(UUID(int=n), {'kind': 'chunk'}) for n in range(500)])\n"
        "print('written', flush=True); time.sleep(60)",
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "docs")], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert [owner.stdout.readline() for _ in range(2)] == ["open\n", "written\n"]
        owner.kill()
    store = EdgeStore(tmp_path / "docs")
    assert store.count(where(kind="chunk")) == 500
    store.close()


def test_the_owner_is_noted_until_the_store_closes(tmp_path):
    store = EdgeStore(tmp_path / "docs", VECTORS)
    note = tmp_path / ".owners" / "docs"
    assert json.loads(note.read_text())["pid"] == os.getpid()
    with pytest.raises(InUse, match=f"open in process {os.getpid()} "):
        EdgeStore(tmp_path / "docs")
    store.close()
    assert note.read_text() == ""


OPEN_AND_CLOSE = """
import sys, time
from pathlib import Path
from twotower.retrieval.vocabulary.errors import InUse
from twotower.retrieval.index.store.edge import EdgeStore
print("begun", flush=True)
opened = 0
while not Path(sys.argv[2]).exists():
    try:
        EdgeStore(Path(sys.argv[1])).close()
        opened += 1
    except InUse:
        pass
    time.sleep(0.002)
print(opened)
"""


def test_nothing_is_lost_while_another_process_opens_and_closes_the_collection(tmp_path):
    """The engine's own lock comes after it has read its files: see `store.owner`."""
    folder = tmp_path / "docs"
    EdgeStore(folder, VECTORS).close()
    written = 0
    enough = tmp_path / "enough"
    with subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_CLOSE, str(folder), str(enough)],
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "begun\n"
        while written < 50:
            time.sleep(0.002)
            try:
                store = EdgeStore(folder)
            except InUse:
                continue
            assert store.count(where(kind="chunk")) == written
            points = [Point(UUID(int=written + n), {"kind": "chunk"}) for n in range(5)]
            store.upsert(points)
            written += len(points)
            store.close()
        enough.touch()
        assert int(other.stdout.read()) >= 2


def test_a_damaged_collection_is_one_clear_error(tmp_path):
    EdgeStore(tmp_path / "docs", VECTORS).close()
    (tmp_path / "docs" / "edge_config.json").write_text("not json")
    with pytest.raises(ServiceError, match="restore the folder from a backup"):
        EdgeStore(tmp_path / "docs")


def test_nothing_is_written_to_a_nearly_full_disk(tmp_path, monkeypatch):
    store = EdgeStore(tmp_path / "docs", VECTORS)
    monkeypatch.setattr(edge.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(ServiceError, match="make room"):
        store.upsert([Point(UUID(int=1), {})])
    store.close()


@pytest.mark.parametrize("kind", ["none", "int8", "turbo"])
def test_an_index_is_built_once_and_finds_what_an_exact_search_finds(tmp_path, kind):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3000, 1024)).astype(np.float32)  # 12 MB: the engine starts at 10
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    store = EdgeStore(
        tmp_path / "docs", [VectorSpec("dense", "dense", 1024)], StoreOptions(quantization=kind)
    )
    store.upsert(
        [Point(UUID(int=n), {"kind": "chunk"}, {"dense": row}) for n, row in enumerate(rows)]
    )
    near = rows[:20] + 0.02 * rng.standard_normal((20, 1024)).astype(np.float32)
    queries = [VectorQuery("dense", row) for row in near]
    before = store.search(queries, 5)
    assert store.optimize()
    assert not store.optimize()
    store.close()
    store = EdgeStore(tmp_path / "docs")
    assert store.count(where(kind="chunk")) == 3000
    for old, new in zip(before, store.search(queries, 5), strict=True):
        assert new[0].id == old[0].id
        assert new[0].score == pytest.approx(old[0].score, abs=1e-4)  # by the original vectors
    store.close()
