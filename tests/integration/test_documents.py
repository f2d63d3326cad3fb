"""Documents of a collection: the command line and the page delete them in the same way."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, RUNTIME
from twotower.app.services.documents import Documents
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.retrieval.vocabulary.errors import ConfigurationError


@pytest.fixture
def ingested(twotower, tmp_path):
    """An uploaded file, a file in a folder, and a file that cannot be read."""
    uploads = twotower.data_dir / "uploads" / "documents"
    folder = tmp_path / "folder"
    for location in (uploads, folder):
        location.mkdir(parents=True)
    (uploads / "uploaded.md").write_text("# Pumps\n\nThe pump stands in the yard.\n")
    (folder / "kept.md").write_text("# Seals\n\nThe seal is changed every year.\n")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    assert twotower("ingest", uploads / "uploaded.md").code == 0
    assert twotower("ingest", folder).code == 1
    return uploads, folder


def documents(twotower, model_cache) -> Documents:
    settings = load_settings(
        {}, data_dir=twotower.data_dir, cache_dir=model_cache.folder, runtime=RUNTIME
    )
    return Documents(Application(settings))


def test_both_doors_delete_passages_uploads_and_failures(twotower, ingested, model_cache):
    uploads, folder = ingested
    service = documents(twotower, model_cache)
    assert {row.source: row.state for row in service.rows("documents")} == {
        "uploaded.md": "ready",
        "kept.md": "ready",
        "broken.pdf": "failed",
    }
    done = twotower("delete", "uploaded.md", "broken.pdf", "--json")
    assert (done.code, done.json) == (0, {"removed": ["uploaded.md", "broken.pdf"], "chunks": 1})
    assert not (uploads / "uploaded.md").exists()
    assert (folder / "broken.pdf").exists()
    assert [row.source for row in service.rows("documents")] == ["kept.md"]
    assert service.delete("documents", ["kept.md"]) == 1
    assert (folder / "kept.md").exists()
    assert service.rows("documents") == []


def test_an_unknown_name_deletes_nothing(twotower, ingested, model_cache):
    done = twotower("delete", "uploaded.md", "kep.md")
    assert (done.code, "did you mean 'kept.md'?" in done.err) == (2, True)
    assert len(documents(twotower, model_cache).records("documents")) == 2


def test_failures_of_a_collection_that_does_not_exist_yet(twotower, tmp_path, model_cache):
    (tmp_path / "only.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    assert twotower("ingest", tmp_path / "only.pdf").code == 1
    service = documents(twotower, model_cache)
    with pytest.raises(ConfigurationError, match=r"no document 'other\.pdf'"):
        service.delete("documents", ["other.pdf"])
    assert [row.state for row in service.rows("documents")] == ["failed"]
    assert twotower("delete", "only.pdf").code == 0
    assert service.rows("documents") == []


@pytest.mark.parametrize("command", [("list",), ("search", "warranty on seals", "--mode", "bm25")])
def test_a_reader_that_goes_away_gives_the_code_of_a_closed_pipe(handbook, command):
    environment = os.environ | {"TWOTOWER_DATA_DIR": str(handbook.data_dir)}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, ROOT / "src")))
    process = subprocess.Popen(
        [sys.executable, "-m", "twotower", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), error) == (141, b"")
