"""Copies: migrated, backed up, restored; killed at any point."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys

import pytest

from tests.conftest import copy_sparse
from tests.integration.versions.conftest import (
    kill_points,
    killed_at,
    same,
    state,
    write,
    writes,
)
from tests.qdrant_stand_in import StandIn


def test_killed_while_restoring_exactly_one_version_is_live(ready, stage):
    write(stage["folder"].parent / "more", "f.md", "f-one")
    assert ready("ingest", stage["folder"].parent / "more").code == 0
    changed = state(ready.data_dir)
    with_more = ready.data_dir.with_name("with more")
    copy_sparse(ready.data_dir, with_more)
    whole = writes(ready, "restore", stage["backup"])
    assert len(whole) >= 8
    assert same(state(ready.data_dir), stage["before"])
    for step in kill_points(whole):
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
    whole = writes(ready, "migrate", "--to", server.url)
    assert len(whole) >= 6
    server.close()
    for step in kill_points(whole):
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
        (moved, "UPDATE vectors SET numbers = zeroblob(length(numbers)) WHERE name = 'dense'"),
    ):
        shutil.copy(backup, copy)
        with contextlib.closing(sqlite3.connect(copy)) as database:
            database.execute(statement)
            database.commit()
    for name, content in bad.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    messages = {
        "missing": "is not a file", "text": "damaged or not a backup", "cut": "damaged",
        "newer": "use the version that wrote it", "changed": "damaged", "moved": "damaged",
    }  # fmt: skip
    for name, message in messages.items():
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
    assert (itself.code, "choose another location" in itself.err) == (2, True)


def test_two_backups_at_once_are_one_and_a_clear_error(ready, tmp_path):
    mine = tmp_path / "notes.part"
    mine.write_text("a file of one's own")
    command = [sys.executable, "-m", "twotower", "backup", str(tmp_path / "notes")]
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
    "UPDATE vectors SET numbers = 'text'",
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
    assert "use another file" in done.err or "use the version that wrote it" in done.err


def test_places_that_are_none_and_names_that_are_none_are_refused(ready, stage, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(ready.data_dir)
    cases = [
        (["migrate", "--to", ""], "is neither a server nor a data directory"),
        (["migrate", "--to", "127.0.0.1:6333"], "http://HOST:6333"),
        (["migrate", "--to", link], "choose another location"),
        (["migrate", "--to", ready.data_dir / "collections" / "documents"], "is inside"),
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
