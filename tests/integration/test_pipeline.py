"""The pipeline from inside: what a person cannot provoke from the command line."""

import pytest

from app.ingestion import Ingestion
from app.settings import load_settings
from app.wiring import Application
from retrieval.errors import ServiceError
from retrieval.store.edge import EdgeStore


@pytest.fixture
def prepared(tmp_path, word_encoder):
    folder = tmp_path / "folder"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.txt").write_text(f"Note number {n} is about the pump.")
    application = Application(load_settings({}, data_dir=tmp_path / "data"))
    application.encoder = lambda: word_encoder
    return application, folder


def test_no_record_is_written_after_a_write_of_chunks_failed(prepared, monkeypatch):
    application, folder = prepared
    upsert, writes = EdgeStore.upsert, []

    def failing(store, points, wait=True):
        writes.append(points[0].payload["kind"])
        if writes[-1] == "chunk":
            raise ServiceError("the disk is full for a moment")
        upsert(store, points)

    monkeypatch.setattr(EdgeStore, "upsert", failing)
    with (
        Ingestion(application, [folder], "documents") as ingestion,
        pytest.raises(ServiceError, match="full for a moment"),
    ):
        list(ingestion.run())
    assert writes == ["card", "chunk"]
    monkeypatch.undo()
    with Ingestion(application, [folder], "documents") as ingestion:
        assert {outcome.status for outcome in ingestion.run()} == {"added"}


def test_a_run_that_is_asked_to_stop_commits_what_is_in_hand(prepared):
    application, folder = prepared
    with Ingestion(application, [folder], "documents") as ingestion:
        outcomes = list(ingestion.run(stopped=lambda: True))
    assert outcomes == []
    asked = iter([False, True, True, True, True])
    with Ingestion(application, [folder], "documents") as ingestion:
        outcomes = list(ingestion.run(prune=True, stopped=lambda: next(asked)))
        assert [outcome.source for outcome in outcomes] == ["0.txt"]
    with application.catalog.open("documents") as collection:
        assert [record.source for record in collection.documents()] == ["0.txt"]


def test_a_copy_takes_the_vectors_of_its_twin(prepared, word_encoder):
    application, folder = prepared
    with Ingestion(application, [folder], "documents") as ingestion:
        list(ingestion.run())
    before = word_encoder.passages
    (folder / "copy.txt").write_bytes((folder / "1.txt").read_bytes())
    with Ingestion(application, [folder], "documents") as ingestion:
        report = [outcome for outcome in ingestion.run() if outcome.status == "added"]
        assert [(outcome.source, outcome.embedded) for outcome in report] == [("copy.txt", 0)]
    assert word_encoder.passages == before


def test_an_index_is_built_once_a_collection_has_grown_large(prepared, monkeypatch):
    application, folder = prepared
    built = []
    monkeypatch.setattr(EdgeStore, "optimize", lambda _store: not built.append(1))

    def run(threshold: int) -> bool:
        settings = application.settings.model_copy(update={"index_threshold": threshold})
        application.settings = settings
        with Ingestion(application, [folder], "documents") as ingestion:
            list(ingestion.run())
            return ingestion.build_index()

    assert not run(4)  # three chunks
    assert not run(1)  # nothing new
    (folder / "3.txt").write_text("Note number 3 is about the seal.")
    assert run(4)
    (folder / "4.txt").write_text("Note number 4 is about the seal.")
    assert not run(0)
    assert built == [1]


def test_progress_is_told(prepared):
    from ingest.report import Watcher

    class Recorder(Watcher):
        def __init__(self):
            self.read, self.chunks = [], 0

        def reading(self, source):
            self.read.append(source)

        def encoded(self, chunks):
            self.chunks += chunks

    application, folder = prepared
    recorder = Recorder()
    with Ingestion(application, [folder], "documents", recorder) as ingestion:
        list(ingestion.run())
        total = ingestion.report().chunks_total
    assert recorder.read == ["0.txt", "1.txt", "2.txt"]
    assert recorder.chunks == total == 3
