"""Re-indexing: killed at any point, while searches and ingestions go on; rollback and gc."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import CommandLine, add_prompt, copy_sparse
from tests.integration.versions.conftest import (
    PROMPT,
    kill_points,
    killed_at,
    same,
    state,
    write,
    writes,
)
from tests.qdrant_stand_in import StandIn
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.retrieval.index.replicate import Replica
from twotower.retrieval.index.store.edge import EdgeStore


def test_reindex_changes_the_dense_vectors_and_nothing_else(ready, stage):
    # The collection's card decides how questions are encoded, so another setting stops no search.
    assert ready("search", "frost", **PROMPT).code == 0
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
    assert ready("search", "frost").code == 0
    assert ready("ingest", stage["folder"], "--json", **PROMPT).json["unchanged"] == 5


def test_rollback_goes_back_and_gc_ends_it(ready, stage):
    assert ready("reindex", **PROMPT).code == 0
    told = ready("rollback", **PROMPT)
    assert "version 1 of 'documents' is live" in told.out
    assert same(state(ready.data_dir), stage["before"])
    assert ready("search", "frost").code == 0
    assert "removed 1 old versions" in ready("gc").out
    nothing = ready("rollback")
    assert (nothing.code, "no previous version" in nothing.err) == (2, True)
    assert same(state(ready.data_dir), stage["before"])


def test_another_language_weighs_the_words_anew_and_keeps_the_dense_vectors(ready, stage):
    german = {"TWOTOWER_LANGUAGE": "german"}
    refused = ready("ingest", stage["folder"], **german)
    assert (refused.code, "language auto in the index" in refused.err) == (2, True)
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
    whole = writes(ready, "reindex", **PROMPT)
    assert len(whole) >= 8
    for step in kill_points(whole):
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


def test_a_reindexing_that_was_killed_goes_on_where_it_was(zygote, model, model_cache, tmp_path):
    line = CommandLine(zygote, model_cache, tmp_path / "data", tmp_path)
    add_prompt(model_cache, model, PROMPT["TWOTOWER_PASSAGE_PROMPT"])
    for n in range(10):
        write(tmp_path / "many", f"{n:02}.md", *(f"{n}-{part}" for part in "abcd"))
    assert line("ingest", tmp_path / "many").code == 0
    killed_at(line, 3, "reindex", TWOTOWER_TEST_WRITE_CHUNKS="16", **PROMPT)  # after one write
    done = line("reindex", "--json", **PROMPT).json
    assert (done["resumed"], done["chunks"]) == (True, 40)
    assert 0 < done["encoded"] <= 40 - 16


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
import twotower.app.services.versions
from twotower.retrieval.index.replicate import Replica
write = Replica._write
def slow(self, documents, total):
    time.sleep(float(os.environ["TWOTOWER_TEST_PAUSE"]))
    write(self, documents, total)
Replica._write = slow
import twotower.retrieval.index.replicate
twotower.retrieval.index.replicate._READ_CHUNKS = 2
from twotower.app.cli.main import app
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
    for n in range(16):
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
    assert sources == {f"{n:02}.md" for n in range(16)} - {"07.md"} | {"new.md"}
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
    assert "run the same command to continue" in told
    assert same(state(ready.data_dir), stage["before"])
    assert ready("reindex", "--force", "--json").json["resumed"]


@contextlib.contextmanager
def held_collection(data_dir: Path):
    store = EdgeStore(data_dir / "collections" / "documents" / "1")
    yield
    store.close()


def test_an_ingestion_is_named_to_who_comes_meanwhile(ready):
    """The owner of an embedded collection: process, command, since when; and no silent wait."""
    with held_collection(ready.data_dir):
        done = ready("search", "frost")
    assert done.code == 3
    assert "waiting:" not in done.err
    for part in (f"process {os.getpid()}", "since 20", "wait until it ends, or stop it"):
        assert part in done.err


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
