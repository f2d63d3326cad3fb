"""A run that is killed at any point loses nothing; the next run ends as a single run would."""

import contextlib
import dataclasses
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import copy_sparse
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.retrieval.search.options import SearchOptions

LEXICAL = SearchOptions(mode="bm25", limit=50)
SENTENCE = "The workshop services every pump before the first frost of the year. "


def write(folder: Path, name: str, *parts: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    body = "\n\n".join(f"## Part {part}\n\nMarker {part}. {SENTENCE * 4}" for part in parts)
    file.write_text(f"# Document {name}\n\n{body}\n")


def first_state(folder: Path) -> None:
    write(folder, "unchanged.md", "alpha", "beta")
    write(folder, "changed.md", "gamma", "delta", "epsilon", "zeta")
    write(folder, "sub/renamed.md", "eta", "theta")
    write(folder, "gone.md", "iota")


def second_state(folder: Path) -> None:
    """One document is changed, one renamed, one gone; of two new ones, one is a copy."""
    write(folder, "changed.md", "gamma", "kappa", "epsilon")
    (folder / "sub" / "renamed.md").rename(folder / "sub" / "new name.md")
    (folder / "gone.md").unlink()
    write(folder, "added.md", "lambda", "mu", "nu")
    shutil.copy(folder / "unchanged.md", folder / "twin.md")


def content(data_dir: Path) -> dict:
    """Everything that a collection contains except the times of ingestion."""
    application = Application(load_settings({}, data_dir=data_dir))
    with application.catalog.open("documents") as collection:
        records = {
            record.source: dataclasses.replace(record, ingested_at="")
            for record in collection.documents()
        }
        counts = collection.chunk_counts()
        return {
            "records": records,
            "chunks": {source: collection.chunks_of(source) for source in counts},
        }


def found_markers(data_dir: Path) -> set[str]:
    """The markers that a BM25 search finds."""
    application = Application(load_settings({}, data_dir=data_dir))
    markers = ["alpha", "beta", "gamma", "epsilon", "eta", "theta"]
    with application.catalog.open("documents") as collection:
        retriever = application.retriever(collection)
        return {m for m in markers if retriever.retrieve(f"Part {m}", LEXICAL).hits
                and any(f"Marker {m}." in hit.chunk.text
                        for hit in retriever.retrieve(m, LEXICAL).hits)}  # fmt: skip


@pytest.fixture(scope="module")
def stage(zygote, model_cache, tmp_path_factory):
    """The folder in its second state, the index of the first, and the result of a single run."""
    from tests.conftest import CommandLine

    base = tmp_path_factory.mktemp("killed")
    folder = base / "folder"
    first_state(folder)
    before = CommandLine(zygote, model_cache, base / "before", base)
    assert before("ingest", folder).code == 0
    second_state(folder)
    single = CommandLine(zygote, model_cache, base / "single", base)
    assert single("ingest", folder).code == 0
    return folder, before.data_dir, content(single.data_dir)


def run(twotower, folder: Path, **environment: str):
    twotower.start("ingest", folder, "--prune", before=["tests.kill_at"], **environment)
    return twotower.wait()


def check(twotower, folder: Path, expected: dict) -> None:
    """Committed documents are searchable now; the next run converges."""
    assert found_markers(twotower.data_dir) == {"alpha", "beta", "gamma", "epsilon", "eta", "theta"}
    assert run(twotower, folder).code == 0
    assert content(twotower.data_dir) == expected


def count_writes(twotower, folder: Path, before: Path) -> int:
    copy_sparse(before, twotower.data_dir)
    log = twotower.data_dir.parent / "writes"
    assert run(twotower, folder, TWOTOWER_TEST_WRITES=str(log)).code == 0
    shutil.rmtree(twotower.data_dir)
    return len(log.read_text().split())


def test_an_incremental_run_ends_as_a_single_run_does(twotower, stage):
    folder, before, expected = stage
    copy_sparse(before, twotower.data_dir)
    report = twotower("ingest", folder, "--prune", "--json").json
    assert {key: report[key] for key in ("added", "changed", "moved", "unchanged", "removed")} == {
        "added": 2, "changed": 1, "moved": 1, "unchanged": 1, "removed": 1
    }  # fmt: skip
    assert report["chunks_embedded"] <= 1 + 3  # one new part, and the new document
    assert content(twotower.data_dir) == expected
    again = twotower("ingest", folder, "--prune", "--json").json
    assert (again["unchanged"], again["chunks_embedded"]) == (len(expected["records"]), 0)


def test_killed_at_each_step_of_the_commit_order(twotower, stage):
    folder, before, expected = stage
    steps = count_writes(twotower, folder, before)
    assert steps >= 12
    for step in range(1, steps + 1):  # all: each document is a different case
        copy_sparse(before, twotower.data_dir)
        killed = run(twotower, folder, TWOTOWER_TEST_KILL_AT=str(step))
        assert killed.code == -signal.SIGKILL, f"step {step}: {killed}"
        check(twotower, folder, expected)
        shutil.rmtree(twotower.data_dir)


def test_killed_at_ten_random_moments(twotower, stage):
    folder, before, expected = stage
    copy_sparse(before, twotower.data_dir)
    start = time.monotonic()
    assert run(twotower, folder).code == 0
    whole = time.monotonic() - start
    chance = random.Random(20261122)
    killed = 0
    for _ in range(10):
        shutil.rmtree(twotower.data_dir)
        copy_sparse(before, twotower.data_dir)
        process = twotower.start("ingest", folder, "--prune")
        time.sleep(chance.uniform(0.1, 1.0) * whole)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        killed += twotower.wait().code == -signal.SIGKILL
        check(twotower, folder, expected)
    assert killed >= 5


def test_the_first_ingestion_killed_at_each_step(twotower, stage):
    folder, _, expected = stage
    for step in range(1, 6):  # card, version, chunks, payloads, record; then these repeat
        killed = run(twotower, folder, TWOTOWER_TEST_KILL_AT=str(step))
        assert killed.code == -signal.SIGKILL
        assert run(twotower, folder).code == 0
        assert content(twotower.data_dir) == expected
        shutil.rmtree(twotower.data_dir)


def test_a_full_disk(twotower, stage, tmp_path):
    """A run on a nearly full disk stops before the write, and succeeds when there is space."""
    folder, before, expected = stage
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=230m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk to fill needs privileges")
    try:
        copy_sparse(before, disk / "data")
        (disk / "ballast").write_bytes(bytes(40 * 2**20))
        done = twotower("ingest", folder, "--prune", TWOTOWER_DATA_DIR=str(disk / "data"))
        assert done.code == 3
        assert "make room and run again" in done.err
        assert len(done.err.splitlines()) == 1
        copy_sparse(disk / "data", twotower.data_dir)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    check(twotower, folder, expected)


def test_ctrl_c_commits_the_files_in_progress(twotower, tmp_path):
    folder = tmp_path / "many"
    for n in range(400):
        write(folder, f"{n:03}.md", *(f"{n} {part}" for part in "abcdef"))
    process = twotower.start("ingest", folder, "--json")
    deadline = time.monotonic() + 300
    folder_of_collection = twotower.data_dir / "collections" / "documents"
    while not folder_of_collection.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process, signal.SIGINT)
    stopped = twotower.wait()
    assert stopped.code == 130
    assert 0 < stopped.json["added"] < 400
    assert f"{400 - stopped.json['added']} of 400 files left" in stopped.err
    assert len(content(twotower.data_dir)["records"]) == stopped.json["added"]
    assert (
        content(twotower.data_dir)["records"].keys() == content(twotower.data_dir)["chunks"].keys()
    )
