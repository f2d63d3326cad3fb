"""Versions: re-indexed, rolled back, copied, restored; killed anywhere, searched all the while."""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.settings import load_settings
from app.wiring import Application
from ingest.replicate import Replica, checksum
from retrieval.store.edge import EdgeStore
from tests.conftest import CommandLine, copy_sparse
from tests.qdrant_stand_in import StandIn

PROMPT = {"TWOTOWER_PASSAGE_PROMPT": "passage: "}  # as good as another encoder
SENTENCE = "The workshop services every pump before the first frost of the year. "


def write(folder: Path, name: str, *parts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    body = "\n\n".join(f"## Part {part}\n\nMarker {part}. {SENTENCE * 4}" for part in parts)
    (folder / name).write_text(f"# Document {name}\n\n{body}\n")


def state(data_dir: Path, url: str = "") -> dict:
    """The version that is live: what made it, its content and its vectors."""
    application = Application(load_settings({}, data_dir=data_dir, qdrant_url=url))
    with application.catalog.open("documents") as collection:
        ids = [chunk.id for chunk in collection.all_chunks()]
        found = {
            "fingerprint": collection.card().encoder.fingerprint,
            "checksum": checksum(collection),
            "vectors": collection.dense_vectors(ids),
            "bm25": collection.term_weights(ids),
        }
    application.catalog.close()
    return found


def same(one: dict, other: dict, tolerance: float = 0.0) -> bool:
    """Whether two versions are the same, to the last bit unless a tolerance is given."""
    if any(one[key] != other[key] for key in ("fingerprint", "checksum", "bm25")):
        return False
    if one["vectors"].keys() != other["vectors"].keys():
        return False
    return all(
        np.abs(vector - other["vectors"][id]).max() <= tolerance
        for id, vector in one["vectors"].items()
    )


@pytest.fixture(scope="module")
def stage(zygote, model_cache, tmp_path_factory):
    """A folder of five documents, ingested; what re-indexing makes of it; a backup."""
    base = tmp_path_factory.mktemp("versions")
    folder = base / "folder"
    for name in ("a", "b", "c", "d", "e"):
        write(folder, f"{name}.md", f"{name}-one", f"{name}-two")
    line = CommandLine(zygote, model_cache, base / "data", base)
    assert line("ingest", folder).code == 0
    other = CommandLine(zygote, model_cache, base / "other", base)
    copy_sparse(line.data_dir, other.data_dir)
    assert other("reindex", **PROMPT).code == 0
    assert line("backup", base / "saved.backup").code == 0
    return {
        "folder": folder,
        "data": line.data_dir,
        "before": state(line.data_dir),
        "after": state(other.data_dir),
        "reindexed": other.data_dir,
        "backup": base / "saved.backup",
    }


@pytest.fixture
def ready(twotower, stage):
    """A command line over a copy of the ingested folder."""
    copy_sparse(stage["data"], twotower.data_dir)
    return twotower


def steps(twotower, *arguments, **environment) -> int:
    """How many writes a whole run of a command makes."""
    log = twotower.data_dir.parent / "writes"
    twotower.start(
        *arguments, before=["tests.kill_at"], TWOTOWER_TEST_WRITES=str(log), **environment
    )
    done = twotower.wait()
    assert done.code == 0, done.err
    return len(log.read_text().split())


def killed_at(twotower, step, *arguments, **environment) -> None:
    twotower.start(
        *arguments, before=["tests.kill_at"], TWOTOWER_TEST_KILL_AT=str(step), **environment
    )
    assert twotower.wait().code == -signal.SIGKILL, step


def test_reindex_changes_the_dense_vectors_and_nothing_else(ready, stage):
    refused = ready("search", "frost", **PROMPT)
    assert (refused.code, "run `twotower reindex`" in refused.err) == (2, True)
    assert "nothing to do" in ready("reindex").out
    shutil.rmtree(stage["folder"], ignore_errors=False)  # no source files are needed
    try:
        done = ready("reindex", "--json", **PROMPT)
    finally:
        for name in ("a", "b", "c", "d", "e"):
            write(stage["folder"], f"{name}.md", f"{name}-one", f"{name}-two")
    assert done.code == 0, done.err
    assert (done.json["version"], done.json["encoded"], done.json["resumed"]) == (2, 10, False)
    now = state(ready.data_dir)
    assert same(now, stage["after"], 1e-5)
    assert now["fingerprint"] != stage["before"]["fingerprint"]
    assert (now["checksum"], now["bm25"]) == (stage["before"]["checksum"], stage["before"]["bm25"])
    assert ready("search", "frost", **PROMPT).code == 0
    assert ready("search", "frost").code == 2
    assert ready("ingest", stage["folder"], "--json", **PROMPT).json["unchanged"] == 5


def test_rollback_goes_back_and_gc_ends_it(ready, stage):
    assert ready("reindex", **PROMPT).code == 0
    told = ready("rollback", **PROMPT)
    assert "version 1 of 'documents' is live" in told.out
    assert "set TWOTOWER_ENCODER" in told.out
    assert same(state(ready.data_dir), stage["before"])
    assert ready("search", "frost").code == 0
    assert "removed 1 old versions" in ready("gc").out
    nothing = ready("rollback")
    assert (nothing.code, "no previous version" in nothing.err) == (2, True)
    assert same(state(ready.data_dir), stage["before"])


def test_another_language_weighs_the_words_anew_and_keeps_the_dense_vectors(ready, stage):
    german = {"TWOTOWER_LANGUAGE": "german"}
    refused = ready("ingest", stage["folder"], **german)
    assert (refused.code, "language english in the index" in refused.err) == (2, True)
    done = ready("reindex", "--json", **german)
    assert (done.code, done.json["encoded"]) == (0, 0)
    now = state(ready.data_dir)
    assert now["bm25"] != stage["before"]["bm25"]
    assert same(now | {"bm25": stage["before"]["bm25"]}, stage["before"])
    assert ready("ingest", stage["folder"], "--json", **german).json["unchanged"] == 5


@pytest.mark.parametrize("kind", ["int8", "turbo"])
def test_a_layout_is_changed_by_reindexing(ready, stage, kind):
    layout = {"TWOTOWER_QUANTIZATION": kind, "TWOTOWER_ON_DISK": "true"}
    done = ready("reindex", "--json", **layout)
    assert (done.code, done.json["encoded"]) == (0, 0)
    assert same(state(ready.data_dir), stage["before"])
    (entry,) = ready("status", "--json").json["collections"]
    assert (entry["quantization"], entry["on_disk"]) == (kind, True)
    hits = ready("search", "Marker c-two", "--json", "--limit", 1).json["hits"]
    assert hits[0]["source"] == "c.md"


def test_killed_while_reindexing_exactly_one_version_is_live(ready, stage):
    whole = steps(ready, "reindex", **PROMPT)
    assert whole >= 8
    for step in range(1, whole + 1):
        shutil.rmtree(ready.data_dir)
        copy_sparse(stage["data"], ready.data_dir)
        killed_at(ready, step, "reindex", **PROMPT)
        now = state(ready.data_dir)
        assert same(now, stage["before"]) or same(now, stage["after"], 1e-5), step
        asked = PROMPT if now["fingerprint"] == stage["after"]["fingerprint"] else {}
        hits = ready("search", "Marker d-one", "--json", "--limit", 1, **asked).json["hits"]
        assert hits[0]["source"] == "d.md"
        again = ready("reindex", "--json", **PROMPT)
        assert again.code == 0, again.err
        assert same(state(ready.data_dir), stage["after"], 1e-5)


def test_a_reindexing_that_was_killed_goes_on_where_it_was(zygote, model_cache, tmp_path):
    line = CommandLine(zygote, model_cache, tmp_path / "data", tmp_path)
    for n in range(30):  # more chunks than are written at once
        write(tmp_path / "many", f"{n:02}.md", *(f"{n}-{part}" for part in "abcdefghij"))
    assert line("ingest", tmp_path / "many").code == 0
    killed_at(line, 3, "reindex", **PROMPT)
    done = line("reindex", "--json", **PROMPT).json
    assert (done["resumed"], done["chunks"]) == (True, 300)
    assert 0 < done["encoded"] <= 300 - 256


def test_killed_while_restoring_exactly_one_version_is_live(ready, stage):
    write(stage["folder"].parent / "more", "f.md", "f-one")
    assert ready("ingest", stage["folder"].parent / "more").code == 0
    changed = state(ready.data_dir)
    with_more = ready.data_dir.with_name("with more")
    copy_sparse(ready.data_dir, with_more)
    whole = steps(ready, "restore", stage["backup"])
    assert whole >= 8
    assert same(state(ready.data_dir), stage["before"])
    for step in range(1, whole + 1):
        shutil.rmtree(ready.data_dir)
        copy_sparse(with_more, ready.data_dir)
        killed_at(ready, step, "restore", stage["backup"])
        now = state(ready.data_dir)
        assert same(now, changed) or same(now, stage["before"]), step
        assert ready("restore", stage["backup"]).code == 0
        assert same(state(ready.data_dir), stage["before"])
    assert ready("rollback").code == 0
    found = state(ready.data_dir)  # the last run was whole: what was there before is one step back
    assert same(found, changed) or same(found, stage["before"])


def test_killed_while_migrating_nothing_or_all_of_it_is_there(ready, stage):
    server = StandIn()
    whole = steps(ready, "migrate", "--to", server.url)
    assert whole >= 6
    server.close()
    for step in range(1, whole + 1):
        server = StandIn()
        killed_at(ready, step, "migrate", "--to", server.url)
        names = ready("status", "--json", TWOTOWER_QDRANT_URL=server.url).json["collections"]
        if names:
            assert same(state(ready.data_dir, server.url), stage["before"], 1e-6), step
        done = ready("migrate", "--to", server.url, "--json")
        assert done.code == 0, done.err
        assert same(state(ready.data_dir, server.url), stage["before"], 1e-6)
        assert same(state(ready.data_dir), stage["before"])
        server.close()


def test_on_a_server_reindexing_is_killed_and_resumed_as_well(ready, stage):
    server = StandIn()
    there = {"TWOTOWER_QDRANT_URL": server.url}
    assert ready("migrate", "--to", server.url).code == 0
    for step in (2, 4, 7):
        killed_at(ready, step, "reindex", "--force", **there)
        assert same(state(ready.data_dir, server.url), stage["before"], 1e-6)
        assert ready("search", "Marker d-one", "--json", **there).code == 0
    done = ready("reindex", "--force", "--json", **there)
    assert (done.code, done.json["resumed"]) == (0, True)
    assert same(state(ready.data_dir, server.url), stage["before"], 1e-6)
    server.close()


REINDEX = """
import os, sys, time
import app.versions
from ingest.replicate import Replica
write = Replica._write
def slow(self, documents, total):
    time.sleep(float(os.environ["TWOTOWER_TEST_PAUSE"]))
    write(self, documents, total)
Replica._write = slow
import ingest.replicate
ingest.replicate._READ_CHUNKS = 2
from app.cli import app
sys.argv = ["twotower", "reindex", "--force"]
app()
"""


def started(line, pause: float) -> subprocess.Popen:
    """A re-indexing in a process of its own that pauses before each document."""
    return subprocess.Popen(
        [sys.executable, "-c", REINDEX],
        env=line.environment | {"TWOTOWER_TEST_PAUSE": str(pause)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_searches_go_on_and_new_documents_come_over_meanwhile(zygote, model_cache, tmp_path):
    line = CommandLine(zygote, model_cache, tmp_path / "data", tmp_path)
    for n in range(40):
        write(tmp_path / "many", f"{n:02}.md", f"{n}-a", f"{n}-b")
    assert line("ingest", tmp_path / "many").code == 0
    work = started(line, 0.25)
    draft = line.data_dir / "collections" / "documents" / "2"
    while not draft.exists() and work.poll() is None:
        time.sleep(0.02)
    write(tmp_path / "many", "new.md", "new-a")
    (tmp_path / "many" / "07.md").unlink()
    write(tmp_path / "many", "08.md", "8-changed")
    assert line("ingest", tmp_path / "many", "--prune").code == 0
    searches = 0
    while work.poll() is None:
        done = line("search", "Marker new-a", "--json", "--limit", 1)
        assert (done.code, done.json["hits"][0]["source"]) == (0, "new.md"), done.err
        searches += 1
    assert work.wait() == 0, work.stderr.read()
    work.communicate()
    assert searches >= 2
    sources = {entry["source"] for entry in line("list", "--json").json}
    assert sources == {f"{n:02}.md" for n in range(40)} - {"07.md"} | {"new.md"}
    (chunk,) = line("show", "08.md", "--json").json
    assert "Marker 8-changed" in chunk["text"]
    assert line("status", "--json").json["collections"][0]["version"] == 2


def test_two_reindexings_at_once_are_one_and_a_clear_error(ready, stage):
    work = started(ready, 0.5)
    draft = ready.data_dir / "collections" / "documents" / "2"
    while not draft.exists() and work.poll() is None:
        time.sleep(0.02)
    second = ready("reindex", "--force")
    assert (second.code, "another process re-indexes 'documents'" in second.err) == (3, True)
    assert (ready("rollback").code, ready("gc").code) == (3, 3)
    work.communicate()
    assert work.returncode == 0
    assert same(state(ready.data_dir), stage["before"])


def test_ctrl_c_keeps_what_is_done(ready, stage):
    work = started(ready, 0.5)
    draft = ready.data_dir / "collections" / "documents" / "2"
    while not draft.exists() and work.poll() is None:
        time.sleep(0.02)
    work.send_signal(signal.SIGINT)
    _, told = work.communicate()
    assert work.returncode == 130
    assert "run the same command to go on" in told
    assert same(state(ready.data_dir), stage["before"])
    assert ready("reindex", "--force", "--json").json["resumed"]


def test_an_ingestion_is_named_to_who_comes_meanwhile(ready):
    """The owner of an embedded collection: process, command, since when; and no silent wait."""
    with EdgeStore_held(ready.data_dir):
        start = time.monotonic()
        done = ready("search", "frost")
        assert time.monotonic() - start < 5
    assert done.code == 3
    for part in (f"process {os.getpid()}", "since 20", "wait until it ends, or stop it"):
        assert part in done.err


@contextlib.contextmanager
def EdgeStore_held(data_dir: Path):  # noqa: N802 - named after what is held
    store = EdgeStore(data_dir / "collections" / "documents" / "1")
    yield
    store.close()


def test_backups_that_are_none_are_refused(ready, stage, tmp_path):
    backup = tmp_path / "mine.backup"
    done = ready("backup", backup, "--json")
    assert (done.code, done.json["documents"], done.json["chunks"]) == (0, 5, 10)
    assert not list(tmp_path.glob(".mine.backup*"))
    again = ready("backup", backup)
    assert (again.code, "exists: choose another name" in again.err) == (2, True)
    nowhere = ready("backup", tmp_path / "no" / "such" / "folder")
    assert (nowhere.code, len(nowhere.err.splitlines())) == (3, 1)

    bad = {"missing": None, "text": b"no backup", "cut": backup.read_bytes()[:20_000]}
    newer, changed, moved = (tmp_path / name for name in ("newer", "changed", "moved"))
    for copy, statement in (
        (newer, "UPDATE meta SET value = '99' WHERE key = 'format'"),
        (changed, "UPDATE chunks SET payload = replace(payload, 'pump', 'bump')"),
        (moved, "UPDATE chunks SET dense = zeroblob(length(dense)) WHERE source = 'c.md'"),
    ):
        shutil.copy(backup, copy)
        with contextlib.closing(sqlite3.connect(copy)) as database:
            database.execute(statement)
            database.commit()
    for name, content in bad.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    told = {"missing": "is not a file", "text": "damaged or no backup", "cut": "damaged", "newer":
            "use the version that wrote it", "changed": "damaged", "moved": "damaged"}  # fmt: skip
    for name, message in told.items():
        done = ready("restore", tmp_path / name)
        assert (done.code, message in done.err) == (2, True), (name, done)
        assert len(done.err.splitlines()) == 1
        assert same(state(ready.data_dir), stage["before"])


def test_a_restored_collection_may_have_another_name(ready, stage):
    assert ready("restore", stage["backup"], "--collection", "copy").code == 0
    listed = [entry["name"] for entry in ready("status", "--json").json["collections"]]
    assert listed == ["copy", "documents"]
    hits = ready("search", "Marker b-one", "--collection", "copy", "--json").json["hits"]
    assert hits[0]["source"] == "b.md"
    itself = ready("migrate", "--to", ready.data_dir)
    assert (itself.code, "name another place" in itself.err) == (2, True)


def test_an_encoder_that_reads_less_than_the_chunks_have_is_refused(ready, tmp_path, model):
    small = tmp_path / "small"
    shutil.copytree(model.path, small)
    settings = json.loads((small / "sentence_bert_config.json").read_text())
    (small / "sentence_bert_config.json").write_text(json.dumps(settings | {"max_seq_length": 48}))
    done = ready("reindex", "--encoder", small)
    assert (done.code, "10 of 10 chunks" in done.err) == (2, True), done
    assert "ingest the files into a new collection" in done.err


def test_killed_at_random_moments_of_reindexing(zygote, model_cache, tmp_path):
    line = CommandLine(zygote, model_cache, tmp_path / "data", tmp_path)
    for n in range(40):
        write(tmp_path / "many", f"{n:02}.md", f"{n}-a", f"{n}-b")
    assert line("ingest", tmp_path / "many").code == 0
    before = state(line.data_dir)
    chance, killed = random.Random(20261123), 0
    start = time.monotonic()
    assert line("reindex", "--force").code == 0
    whole = time.monotonic() - start
    for _ in range(10):
        process = line.start("reindex", "--force")
        time.sleep(chance.uniform(0.1, 1.0) * whole)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        killed += line.wait().code == -signal.SIGKILL
        assert same(state(line.data_dir), before)
    assert killed >= 3
    assert line("reindex", "--force").code == 0
    assert same(state(line.data_dir), before)


def test_two_backups_at_once_are_one_and_a_clear_error(ready, tmp_path):
    mine = tmp_path / "notes.part"
    mine.write_text("a file of one's own")
    command = [sys.executable, "-m", "app", "backup", str(tmp_path / "notes")]
    both = [
        subprocess.Popen(command, env=ready.environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = sorted((process.communicate()[1], process.returncode)[1] for process in both)
    assert ends[0] == 0
    assert ends[1] in (2, 3)
    assert ready("restore", tmp_path / "notes", "--collection", "copy").code == 0
    assert mine.read_text() == "a file of one's own"
    assert not list(tmp_path.glob(".notes.*"))


DAMAGES = [
    "UPDATE meta SET value = 'abc' WHERE key = 'format'",
    "UPDATE meta SET value = '{' WHERE key = 'card'",
    "UPDATE meta SET value = replace(value, 'fingerprint', 'x') WHERE key = 'card'",
    "UPDATE documents SET record = '{}'",
    "UPDATE chunks SET payload = '[]'",
    "UPDATE chunks SET id = x'00' WHERE id = (SELECT min(id) FROM chunks)",
    "UPDATE chunks SET dense = 'text'",
    "DROP TABLE chunks",
]


@pytest.mark.parametrize("statement", DAMAGES)
def test_a_backup_that_was_changed_anywhere_is_refused(ready, stage, tmp_path, statement):
    copy = tmp_path / "copy.backup"
    shutil.copy(stage["backup"], copy)
    with contextlib.closing(sqlite3.connect(copy)) as database:
        database.execute(statement)
        database.commit()
    done = ready("restore", copy, "--collection", "x")
    assert (done.code, len(done.err.splitlines())) == (2, 1), done
    assert "use another one" in done.err or "use the version that wrote it" in done.err


def test_places_that_are_none_and_names_that_are_none_are_refused(ready, stage, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(ready.data_dir)
    cases = [
        (["migrate", "--to", ""], "is no place"),
        (["migrate", "--to", "127.0.0.1:6333"], "http://HOST:6333"),
        (["migrate", "--to", link], "name another place"),
        (["migrate", "--to", ready.data_dir / "collections" / "documents"], "is inside of"),
        (["migrate", "--to", "ftp://host"], "http://HOST:6333"),
        (["migrate", "--to", "~nosuchuser/x"], "no such user"),
        (["backup", "~nosuchuser/x"], "no such user"),
        (["restore", "~nosuchuser/x"], "no such user"),
        (["ingest", "~nosuchuser/x"], "no such user"),
        (["restore", "x" * 300], "is not a file"),
        (["rollback", "--collection", "nope"], "does not exist"),
    ]
    for arguments, message in cases:
        done = ready(*arguments)
        assert (done.code, message in done.err) == (2, True), (arguments, done)
        assert len(done.err.splitlines()) == 1
    long = ready("backup", tmp_path / ("x" * 300))
    assert (long.code, len(long.err.splitlines())) == (3, 1)
    assert same(state(ready.data_dir), stage["before"])


def test_what_the_stored_text_cannot_mend_is_said_by_reindex(ready):
    done = ready("reindex", TWOTOWER_CHUNKING="tokens")
    assert (done.code, "ingest into a new collection" in done.err) == (2, True), done


def test_an_empty_collection_changes_its_language(ready, stage):
    names = [entry["source"] for entry in ready("list", "--json").json]
    assert ready("delete", *names).code == 0
    german = {"TWOTOWER_LANGUAGE": "german"}
    assert ready("reindex", **german).code == 0
    assert ready("ingest", stage["folder"], "--json", **german).json["added"] == 5


def test_a_full_disk_is_told_to_who_only_reads(ready, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small disk cannot be mounted without privileges: nothing to fill")
    try:
        copy_sparse(ready.data_dir, disk / "data")
        with contextlib.suppress(OSError), (disk / "ballast").open("wb") as ballast:
            while True:
                ballast.write(bytes(2**16))
        for command in (["list"], ["search", "frost"], ["rollback"], ["status"]):
            done = ready(*command, TWOTOWER_DATA_DIR=str(disk / "data"))
            assert (done.code, len(done.err.splitlines())) in ((3, 1), (2, 1)), (command, done)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_what_comes_in_just_after_a_version_went_live_stays(ready, stage):
    """On a server others write to either version in that moment; neither is undone."""
    server = StandIn()
    assert ready("migrate", "--to", server.url).code == 0
    application = Application(load_settings({}, qdrant_url=server.url))
    catalog = application.catalog
    with catalog.open("documents") as old:
        before = {record.source: record for record in old.documents()}
        with catalog.draft("documents", old.card()) as draft:
            replica = Replica(lambda: contextlib.nullcontext(old), draft.collection)
            assert replica.run()
            catalog.publish("documents", draft.version)
            new = draft.collection
            moved = replace(before["a.md"], source="only-in-new.md")
            new.write_document(moved)
            old.write_document(replace(before["a.md"], source="only-in-old.md", chunks=0))
            new.remove_document("b.md")
            old.remove_document("c.md")
            replica.follow(old, before)
        found = {record.source for record in new.documents()}
    assert found == {"a.md", "d.md", "e.md", "only-in-new.md", "only-in-old.md"}
    catalog.close()
    server.close()
