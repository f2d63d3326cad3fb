"""A damaged collection can make the engine panic: one clear error, and no Rust trace."""

import os
import random
import shutil
import threading
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from twotower.retrieval.index.store.edge import EdgeStore, _translated
from twotower.retrieval.index.store.panics import is_panic, no_traces
from twotower.retrieval.index.store.protocol import Point, VectorSpec
from twotower.retrieval.vocabulary.errors import ServiceError
from twotower.retrieval.vocabulary.vectors import SparseVector

VECTORS = [VectorSpec("dense", "dense", 4), VectorSpec("bm25", "sparse")]
TRACE = (
    b"\nthread '<unnamed>' (18320) panicked at lib/pages.rs:244:9:\n"
    b"assertion `left == right` failed\n  left: 1\n right: 2\n"
    b"stack backtrace:\n   0: __rustc::rust_begin_unwind\n             at /rustc/panic.rs:1\n"
    b"note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n"
)
SHORT_TRACE = b"\nthread 'main' panicked at lib/pages.rs:244:9:\nindex out of bounds\n"


def points() -> list[Point]:
    vectors = {
        "dense": np.array([1, 0, 0, 0], dtype=np.float32),
        "bm25": SparseVector((7,), (1.0,)),
    }
    payload = {"kind": "chunk", "source": "a.md", "page": 1}
    return [Point(UUID(int=n), payload, vectors) for n in range(9)]


@pytest.fixture
def folder(tmp_path) -> Path:
    store = EdgeStore(tmp_path / "docs", VECTORS)
    store.upsert(points())
    store.close()
    return tmp_path / "docs"


def overwrite(file: Path) -> None:
    noise = random.Random(0).randbytes(4096)
    with file.open("r+b") as opened:
        opened.write(noise)


@pytest.mark.parametrize("backtrace", ["0", "1", "full"])
def test_noise_in_an_index_is_one_clear_error(folder, tmp_path, capfd, monkeypatch, backtrace):
    monkeypatch.setenv("RUST_BACKTRACE", backtrace)
    files = sorted(folder.glob("segments/*/payload_index/*-map/tracker.dat"))
    panics = []
    for n, file in enumerate(files):
        shutil.copy(file, tmp_path / "intact")
        overwrite(file)
        for _ in range(2):  # the lock is released: the second attempt fails in the same way
            with pytest.raises(ServiceError, match="restore the folder from a backup") as caught:
                EdgeStore(folder)
            assert "\n" not in str(caught.value)
            if is_panic(caught.value.__cause__):
                panics.append(n)
                assert "the engine panicked: " in str(caught.value)
        shutil.copy(tmp_path / "intact", file)
        if panics:
            break
    assert panics == [0, 0]
    assert capfd.readouterr().err == ""
    EdgeStore(folder).close()


def test_a_file_that_is_cut_off_is_one_clear_error(folder, capfd):
    file = next(folder.glob("segments/*/vector_storage-dense/vectors/status.dat"))
    os.truncate(file, 4)
    with pytest.raises(ServiceError, match="the engine panicked: index out of bounds"):
        EdgeStore(folder)
    assert capfd.readouterr().err == ""


def test_a_panic_while_writing_is_a_service_error(folder):
    overwrite(next(folder.glob("segments/*/vector_storage-bm25/store/tracker.dat")))
    store = EdgeStore(folder)
    try:
        with pytest.raises(ServiceError, match="the engine panicked"):
            store.upsert([Point(UUID(int=99), {"kind": "card"})])  # has no sparse vector
    finally:
        store.close()
    with pytest.raises(ServiceError, match="the engine panicked"):  # it repeats the write, alone
        EdgeStore(folder)


def test_other_exceptions_pass_through():
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _translated(interrupted)


def test_only_traces_are_kept_off_standard_error(capfd, caplog):
    caplog.set_level("DEBUG", "twotower")
    for trace in (TRACE, SHORT_TRACE):
        with no_traces():
            os.write(2, b"before\n" + trace + b"after\n")
            assert capfd.readouterr().err == ""
        assert capfd.readouterr().err == "before\nafter\n"
    assert [message.split("panicked at")[1].split(":")[0] for message in caplog.messages] == [
        " lib/pages.rs",
        " lib/pages.rs",
    ]
    os.write(2, b"outside\n")
    assert capfd.readouterr().err == "outside\n"


def test_threads_share_one_redirection(capfd):
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with no_traces():
            os.write(2, b"other\n")
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    with no_traces():
        thread.start()
        inside.wait(30)
        os.write(2, TRACE)
    assert capfd.readouterr().err == ""  # the other thread is still inside
    leave.set()
    thread.join()
    assert capfd.readouterr().err == "other\n"


@pytest.fixture
def saved():
    descriptor = os.dup(2)
    yield
    os.dup2(descriptor, 2)
    os.close(descriptor)


def test_there_may_be_no_standard_error(saved):
    os.close(2)
    with no_traces():
        pass


def test_the_reader_of_standard_error_may_have_ended(saved):
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, 2)
    os.close(write)
    with no_traces():
        os.write(2, b"nobody reads this")
