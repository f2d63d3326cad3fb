import json
import os
import subprocess
import sys
from types import SimpleNamespace
from uuid import UUID

import numpy as np
import pytest

from retrieval.errors import InUse, ServiceError
from retrieval.filters import where
from retrieval.store import edge
from retrieval.store.edge import EdgeStore
from retrieval.store.protocol import Leg, Point, StoreOptions

HOLD = """
import sys, time
from pathlib import Path
from retrieval.store.edge import EdgeStore
store = EdgeStore(Path(sys.argv[1]), 4)
print("open", flush=True)
time.sleep(60)
"""


def test_a_second_process_is_told_who_has_it_open(tmp_path):
    folder = tmp_path / "docs"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout.readline() == "open\n"
        with pytest.raises(ServiceError, match=f"open in process {owner.pid} "):
            EdgeStore(folder)
        owner.kill()
    EdgeStore(folder).close()  # the lock went with its owner


def test_points_survive_a_kill(tmp_path):
    script = HOLD.replace(
        "time.sleep(60)",
        "from uuid import UUID; from retrieval.store.protocol import Point\n"
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
    store = EdgeStore(tmp_path / "docs", 4)
    note = tmp_path / ".owners" / "docs"
    assert json.loads(note.read_text())["pid"] == os.getpid()
    with pytest.raises(InUse, match=f"open in process {os.getpid()} "):
        EdgeStore(tmp_path / "docs")
    store.close()
    assert note.read_text() == ""


OPEN_AND_CLOSE = """
import sys, time
from pathlib import Path
from retrieval.errors import InUse
from retrieval.store.edge import EdgeStore
print("begun", flush=True)
end = time.monotonic() + 4
while time.monotonic() < end:
    try:
        EdgeStore(Path(sys.argv[1])).close()
    except InUse:
        time.sleep(0.002)
"""


def test_nothing_is_lost_to_processes_that_open_and_close_meanwhile(tmp_path):
    """The engine's own lock comes after it has read its files: see `retrieval.store.owner`."""
    folder = tmp_path / "docs"
    EdgeStore(folder, 4).close()
    written = 0
    with subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_CLOSE, str(folder)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "begun\n"
        while other.poll() is None:
            try:
                store = EdgeStore(folder)
            except InUse:
                continue
            assert store.count(where(kind="chunk")) == written
            points = [Point(UUID(int=written + n), {"kind": "chunk"}) for n in range(5)]
            store.upsert(points)
            written += len(points)
            store.close()
    assert written >= 10


def test_a_damaged_collection_is_one_clear_error(tmp_path):
    EdgeStore(tmp_path / "docs", 4).close()
    (tmp_path / "docs" / "edge_config.json").write_text("not json")
    with pytest.raises(ServiceError, match="restore the folder from a backup"):
        EdgeStore(tmp_path / "docs")


def test_a_disk_that_is_nearly_full_is_not_written_to(tmp_path, monkeypatch):
    store = EdgeStore(tmp_path / "docs", 4)
    monkeypatch.setattr(edge.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(ServiceError, match="make room"):
        store.upsert([Point(UUID(int=1), {})])
    store.close()


@pytest.mark.parametrize("kind", ["none", "int8", "turbo"])
def test_an_index_is_built_once_and_finds_what_comparing_each_finds(tmp_path, kind):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3000, 1024)).astype(np.float32)  # 12 MB: the engine starts at 10
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    store = EdgeStore(tmp_path / "docs", 1024, StoreOptions(quantization=kind))
    store.upsert([Point(UUID(int=n), {"kind": "chunk"}, row) for n, row in enumerate(rows)])
    asked = [Leg(row + 0.02 * rng.standard_normal(1024).astype(np.float32)) for row in rows[:20]]
    before = store.search(asked, 5)
    assert store.optimize()
    assert not store.optimize()
    store.close()
    store = EdgeStore(tmp_path / "docs")
    assert store.count(where(kind="chunk")) == 3000
    for old, new in zip(before, store.search(asked, 5), strict=True):
        assert new[0].id == old[0].id
        assert new[0].score == pytest.approx(old[0].score, abs=1e-4)  # by the original vectors
    store.close()
