"""The example in docs/extending.md: a format from outside the package is ingested and found."""

import re
import sys
from functools import partial

import pytest

from tests.conftest import ROOT
from twotower.app.services.ingestion import Ingestion
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.ingest import loaders
from twotower.ingest.elements import Limits
from twotower.ingest.loaders import Format, register
from twotower.ingest.loaders.isolation import Workers
from twotower.ingest.loaders.text import read_text
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.vocabulary.errors import DocumentError

LYRICS = """[ti:The heron]
[ar:Ann Lee]
[00:01.60] The heron stands still
[01:05.90]Then it catches an eel.
"""


@pytest.fixture
def registration(tmp_path, monkeypatch) -> str:
    """The code that registers the format; the module of its loader can be imported."""
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    section = re.search(r"^## A file format$.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[0]
    module, line, registration = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert line.strip() in registration
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "lyrics.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(loaders, "FORMATS", dict(loaders.FORMATS))
    yield registration
    sys.modules.pop("lyrics", None)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "heron.lrc").write_text(LYRICS)
    (folder / "other.txt").write_text("The kingfisher is blue.")
    return folder


def test_a_worker_process_reads_the_format(registration, folder):
    exec(registration, {})
    (folder / "empty.lrc").write_text("no times")
    with Workers(1, seconds=60, memory_mb=4096) as workers:
        document = workers.result(workers.submit(loaders.load, folder / "heron.lrc", Limits()))
        refused = workers.submit(loaders.load, folder / "empty.lrc", Limits())
        with pytest.raises(DocumentError, match="contains no lines in LRC") as caught:
            workers.result(refused)
    assert document.title == "The heron"
    assert [(element.kind, element.text) for element in document.elements] == [
        ("lines", "00:01 The heron stands still\n01:05 Then it catches an eel.")
    ]
    assert caught.value.kind == "malformed"


def test_files_of_the_format_are_ingested_and_found(registration, folder, tmp_path, word_encoder):
    application = Application(load_settings({}, data_dir=tmp_path / "data"))
    application.encoder = lambda: word_encoder
    with Ingestion(application, [folder], "documents") as ingestion:
        assert ingestion.discovery.skipped == {".lrc": 1}
    exec(registration, {})
    with Ingestion(application, [folder], "documents") as ingestion:
        outcomes = {outcome.source: outcome.status for outcome in ingestion.run()}
    assert outcomes == {"heron.lrc": "added", "other.txt": "added"}
    with application.catalog.open("documents") as collection:
        found = application.retriever(collection).retrieve("eel", SearchOptions(mode="bm25"))
        assert [hit.chunk.provenance.source for hit in found.hits] == ["heron.lrc"]


@pytest.mark.parametrize(
    ("suffix", "load", "error", "message"),
    [
        (".pdf", read_text, ValueError, "'.pdf' belongs to the format 'PDF'"),
        ("lrc", read_text, ValueError, "must begin with a dot"),
        (".LRC", read_text, ValueError, "in lower case"),
        (".lrc", lambda *_: None, TypeError, "worker processes can import"),
        (".lrc", partial(read_text), None, ""),
        (".lrc", read_text, None, ""),
    ],
)
def test_a_format_that_cannot_work_is_refused(monkeypatch, suffix, load, error, message):
    monkeypatch.setattr(loaders, "FORMATS", dict(loaders.FORMATS))
    added = Format("Lyrics", (suffix,), load)
    if error is None:
        register(added)
        register(added)  # a second time changes nothing
        assert loaders.registered() == (added,)
        return
    with pytest.raises(error, match=message):
        register(added)
    assert loaders.registered() == ()


def test_a_loader_of_the_main_script_is_refused(monkeypatch):
    monkeypatch.setattr(loaders, "FORMATS", dict(loaders.FORMATS))
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "load_main", lambda *_: None, raising=False)
    main.load_main.__module__, main.load_main.__qualname__ = "__main__", "load_main"
    for load in (main.load_main, partial(main.load_main)):
        with pytest.raises(TypeError, match="not of the main script"):
            register(Format("Lyrics", (".lrc",), load))
