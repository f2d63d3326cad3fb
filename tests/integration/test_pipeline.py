"""The pipeline from inside: cases that the command line cannot provoke."""

import pytest

from twotower.app.services.ingestion import Ingestion
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.ingest import reading
from twotower.ingest.report import IngestObserver
from twotower.retrieval.index.store.edge import EdgeStore
from twotower.retrieval.vocabulary.errors import ServiceError


@pytest.fixture
def application_and_folder(tmp_path, word_encoder):
    folder = tmp_path / "folder"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.txt").write_text(f"Note number {n} is about the pump.")
    application = Application(load_settings({}, data_dir=tmp_path / "data"))
    application.encoder = lambda: word_encoder
    return application, folder


def test_no_record_is_written_after_a_write_of_chunks_failed(application_and_folder, monkeypatch):
    application, folder = application_and_folder
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


def test_a_run_that_should_stop_commits_the_files_in_progress(application_and_folder, monkeypatch):
    monkeypatch.setattr(reading, "_PATIENCE", 60.0)  # however slowly the workers start
    application, folder = application_and_folder
    with Ingestion(application, [folder], "documents") as ingestion:
        outcomes = list(ingestion.run(should_stop=lambda: True))
    assert outcomes == []
    answers = iter([False, True, True, True, True])
    with Ingestion(application, [folder], "documents") as ingestion:
        outcomes = list(ingestion.run(prune=True, should_stop=lambda: next(answers)))
        assert [outcome.source for outcome in outcomes] == ["0.txt"]
    with application.catalog.open("documents") as collection:
        assert [record.source for record in collection.documents()] == ["0.txt"]


def test_a_copied_file_uses_the_vectors_of_the_original(application_and_folder, word_encoder):
    application, folder = application_and_folder
    with Ingestion(application, [folder], "documents") as ingestion:
        list(ingestion.run())
    before = word_encoder.passages
    (folder / "copy.txt").write_bytes((folder / "1.txt").read_bytes())
    with Ingestion(application, [folder], "documents") as ingestion:
        report = [outcome for outcome in ingestion.run() if outcome.status == "added"]
        assert [(outcome.source, outcome.embedded) for outcome in report] == [("copy.txt", 0)]
    assert word_encoder.passages == before


def test_an_index_is_built_when_a_collection_reaches_the_threshold(
    application_and_folder, monkeypatch
):
    application, folder = application_and_folder
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


def test_the_observer_receives_the_progress(application_and_folder, monkeypatch):
    monkeypatch.setattr(reading, "_PATIENCE", 60.0)

    class Recorder(IngestObserver):
        def __init__(self):
            self.read, self.chunks = [], 0

        def reading(self, source):
            self.read.append(source)

        def encoded(self, chunks):
            self.chunks += chunks

    application, folder = application_and_folder
    recorder = Recorder()
    with Ingestion(application, [folder], "documents", recorder) as ingestion:
        list(ingestion.run())
        total = ingestion.report().chunks_total
    assert recorder.read == ["0.txt", "1.txt", "2.txt"]
    assert recorder.chunks == total == 3
