import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from twotower.ingest import reading
from twotower.ingest.reading import PreparedDocument, Reader
from twotower.ingest.report import IngestObserver
from twotower.ingest.sync import PlannedFile
from twotower.retrieval.vocabulary.errors import DocumentError


class Waiting:
    """Stands for the pool: the result of a future is its own."""

    def result(self, future):
        return future.result()


class Told(IngestObserver):
    def __init__(self) -> None:
        self.slowly: list[str] = []

    def slow(self, source: str, seconds: float) -> None:
        self.slowly.append(source)


def planned(name: str) -> PlannedFile:
    return PlannedFile(Path(name), Path(), name, "", 0, "add")


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_files_come_in_their_order_with_their_errors(pool):
    def read(file):
        if file.source == "b":
            raise DocumentError("broken", "malformed")
        return PreparedDocument(file.source, None, ())

    reader = Reader(lambda file: pool.submit(read, file), Waiting(), IngestObserver())
    results = list(reader.results([planned(name) for name in "abc"], lambda: False))
    assert [file.source for file, _ in results] == ["a", "b", "c"]
    assert [isinstance(result, DocumentError) for _, result in results] == [False, True, False]


def test_what_is_ready_comes_before_a_slow_file_which_is_named(pool, monkeypatch):
    monkeypatch.setattr(reading, "_PATIENCE", 0.05)
    monkeypatch.setattr(reading, "_SLOW", 0.1)
    free = threading.Event()

    def read(file):
        if file.source == "slow":
            assert free.wait(30)
        return PreparedDocument(file.source, None, ())

    told = Told()
    reader = Reader(lambda file: pool.submit(read, file), Waiting(), told)
    names = []
    for result in reader.results([planned(name) for name in ("slow", "b", "c")], lambda: False):
        if result is not None:
            names.append(result[0].source)
        elif told.slowly:
            free.set()
    assert names == ["b", "c", "slow"]
    assert told.slowly == ["slow"]
