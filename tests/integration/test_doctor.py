"""`twotower doctor`: what works, what is damaged, and a repair that ends in the same collection.

`benchmarks.damage` damages a collection 100 times; these are kinds of it that differ.
"""

import os
import random
import socket
from pathlib import Path

import pytest

from benchmarks.damage import content, damage, forget_writes, same
from tests.conftest import HANDBOOK, RUNTIME, CommandLine, copy_sparse
from twotower.app.settings import load_settings
from twotower.app.wiring import Application

FOLDER = Path("collections/documents/1")


@pytest.fixture(scope="module")
def sound(zygote, model_cache, tmp_path_factory) -> CommandLine:
    """A small collection, of five documents in five formats; one of them has pages."""
    folder = tmp_path_factory.mktemp("sound")
    line = CommandLine(zygote, model_cache, folder / "data", folder)
    report = HANDBOOK / "finance" / "annual-report-2024.pdf"
    assert line("ingest", HANDBOOK / "it", report).code == 0
    assert line("list").code == 0  # opening it writes what the engine's journals hold
    return line


@pytest.fixture
def damaged(sound, zygote, model_cache, tmp_path) -> CommandLine:
    """A copy of the collection, to damage."""
    copy_sparse(sound.data_dir, tmp_path / "data")
    return CommandLine(zygote, model_cache, tmp_path / "data", tmp_path)


def read(line: CommandLine, model_cache) -> dict:
    settings = load_settings(
        {}, data_dir=line.data_dir, cache_dir=model_cache.folder, runtime=RUNTIME
    )
    with Application(settings).catalog.open("documents", short_lived=True) as collection:
        return content(collection)


def test_everything_that_is_configured_works(handbook):
    done = handbook("doctor", "--json")
    assert done.code == 0, done.out
    checks = {check["check"]: check for check in done.json["checks"]}
    for name in ("data directory", "cache directory", "engine", "encoder", "collection documents"):
        assert checks[name]["state"] == "ok", checks[name]
    assert checks["language model"]["state"] == "off"
    assert "TWOTOWER_LLM" in checks["language model"]["remedy"]


def test_what_is_configured_and_does_not_work_is_named_with_a_remedy(twotower, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = twotower("doctor", TWOTOWER_QDRANT_URL=nobody)
    assert done.code == 1
    assert f"{nobody} cannot be reached" in done.out
    done = twotower("doctor", "--json", TWOTOWER_LLM="ollama:qwen3", TWOTOWER_LLM_URL=nobody)
    failed = {check["check"]: check for check in done.json["checks"] if check["state"] == "failed"}
    assert (done.code, list(failed)) == (1, ["language model"])
    assert nobody in failed["language model"]["detail"]
    missing = twotower("doctor", TWOTOWER_ENCODER=str(tmp_path / "nowhere"))
    assert missing.code == 1
    assert "nowhere" in missing.out


def test_a_sound_collection_passes_the_deep_check(handbook):
    done = handbook("doctor", "--deep", "--json")
    assert done.code == 0
    assert done.json["collections"] == {
        "documents": {"findings": [], "repaired": None, "error": ""}
    }


@pytest.mark.parametrize(
    ("pattern", "kind", "part"),
    [
        ("**/*text-text/tracker.dat", "half", "payload index"),
        ("**/*page-numeric/page_0.dat", "zeros", "payload index"),
        ("**/payload_storage/page_0.dat", "noise", None),
        ("**/vector_storage-dense/vectors/chunk_0.mmap", "block", "vectors"),
        ("**/vector_storage-bm25/store/page_0.dat", "noise", None),
        ("**/*source-null/is_null/status.dat", "half", "store"),  # the engine panics
        ("**/segment.json", "noise", "store"),
        ("documents.log", "noise", "store"),
    ],
)
def test_a_damage_is_found_and_repaired(damaged, sound, model_cache, pattern, kind, part):
    before = read(sound, model_cache)
    (file,) = (damaged.data_dir / FOLDER).glob(pattern)
    forget_writes(damaged.data_dir)
    damage(file, kind, random.Random(3))
    found = damaged("doctor", "--deep", "--json")
    assert found.code == 1
    findings = found.json["collections"]["documents"]["findings"]
    assert findings
    assert part is None or part in {finding["part"] for finding in findings}
    repaired = damaged("doctor", "--repair")
    assert repaired.code == 0, repaired.err
    assert "version 2 of 'documents' is live" in repaired.out
    assert same(read(damaged, model_cache), before)
    assert damaged("doctor", "--deep").code == 0


def test_documents_that_nothing_can_restore_are_named(zygote, model_cache, tmp_path):
    line = CommandLine(zygote, model_cache, tmp_path / "data", tmp_path)
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in ("kept", "gone"):
        (folder / f"{name}.md").write_text(f"# {name}\n\nThe {name} pump stands in the yard.\n")
    assert line("ingest", folder).code == 0
    (file,) = (line.data_dir / FOLDER).glob("**/segment.json")
    os.truncate(file, 1)
    (folder / "gone.md").unlink()
    done = line("doctor", "--repair")
    assert done.code == 1
    assert "lost: gone.md" in done.out
    assert [d["source"] for d in line("list", "--json").json] == ["kept.md"]
