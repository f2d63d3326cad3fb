"""`twotower ingest` as a user or a script runs it: in its own process, on real files."""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import HANDBOOK, add_prompt
from tests.hostile import stream_bomb, write_unreadable_pdfs
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.retrieval.index.catalog.local import LocalCatalog
from twotower.retrieval.index.store.protocol import StoreOptions
from twotower.retrieval.models.model_folder import load_tokenizer

# Root may read any file unless it gives up these capabilities.
WITHOUT_PRIVILEGE = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    if os.geteuid() == 0
    else []
)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A small folder of documents."""
    folder = tmp_path / "my documents"
    (folder / "notes").mkdir(parents=True)
    (folder / "parking.md").write_text("# Parking\n\nBicycles stand behind the oak tree.\n")
    (folder / "notes" / "seals.txt").write_text("The seals of the pump are made of viton.\n")
    return folder


def chunks_by_source(data_dir: Path) -> dict[str, list]:
    application = Application(load_settings({}, data_dir=data_dir))
    with application.catalog.open("documents") as collection:
        return {d.source: collection.chunks_of(d.source) for d in collection.documents()}


def test_every_file_of_the_handbook_is_ingested(handbook):
    report = handbook.first_ingest.json
    files = [path for path in HANDBOOK.rglob("*") if path.is_file()]
    assert report["added"] == len(files)
    assert report["failed"] == []
    assert report["chunks_embedded"] == report["chunks_total"] > 300
    assert len({path.suffix for path in files}) >= 9


def test_a_second_run_embeds_nothing_and_reports_that(handbook):
    again = handbook("ingest", HANDBOOK)
    assert again.code == 0
    assert "0 chunks embedded" in again.out
    report = handbook("ingest", HANDBOOK, "--json").json
    first = handbook.first_ingest.json
    assert report["chunks_embedded"] == report["added"] == report["changed"] == 0
    assert report["unchanged"] == first["added"]
    assert report["chunks_reused"] == report["chunks_total"] == first["chunks_total"]


def test_ingestion_and_search_need_no_network(twotower, folder):
    shutil.copytree(HANDBOOK / "hr", folder / "hr")
    assert twotower.fresh("ingest", folder).code == 0
    assert twotower.fresh("search", "how are pumps lifted", "--limit", 3).code == 0
    assert twotower.refused_connections == ""


def test_the_network_guard_records_connections(twotower):
    """The test above relies on this: for a model that is not local, the program contacts a hub."""
    twotower("ingest", HANDBOOK / "finance", TWOTOWER_ENCODER="organisation/model")
    assert twotower.refused_connections != ""


def test_a_changed_document_embeds_only_its_changed_chunks(twotower, folder):
    body = "The pump is serviced by the workshop every spring. " * 8
    parts = [f"## Part {n}\n\nNumber {n}. {body}\n\n" for n in range(6)]
    file = folder / "long.md"
    file.write_text("# Guide\n\n" + "".join(parts))
    first = twotower("ingest", folder, "--json").json
    before = chunks_by_source(twotower.data_dir)["long.md"]
    parts[2] = f"## Part 2\n\nNumber 2 was rewritten. {body}\n\n"
    file.write_text("# Guide\n\n" + "".join([parts[5], *parts[:5]]))
    second = twotower("ingest", folder, "--json").json
    after = chunks_by_source(twotower.data_dir)["long.md"]
    assert (second["changed"], second["unchanged"]) == (1, 2)
    assert second["chunks_embedded"] <= 3  # the new one, and those whose neighbour "Guide" changed
    assert second["chunks_total"] == first["chunks_total"]
    assert [chunk.position for chunk in after] == list(range(len(before)))
    kept = {chunk.id for chunk in before} & {chunk.id for chunk in after}
    assert len(kept) == len(before) - second["chunks_embedded"]
    assert not any("Number 2. " in chunk.text for chunk in after)


def test_a_document_is_not_ingested_twice_through_another_path(twotower, folder):
    twotower("ingest", folder)
    for path in (folder / "notes", folder / "notes" / "seals.txt"):
        report = twotower("ingest", path, "--json").json
        assert (report["added"], report["unchanged"]) == (0, 1)
    moved = folder.rename(folder.with_name("elsewhere"))
    report = twotower("ingest", moved, "--json").json
    assert (report["added"], report["moved"], report["chunks_embedded"]) == (0, 2, 0)
    assert sorted(chunks_by_source(twotower.data_dir)) == ["notes/seals.txt", "parking.md"]


def test_two_files_with_the_same_content_stay_two_documents(twotower, folder):
    shutil.copy(folder / "parking.md", folder / "copy.md")
    assert twotower("ingest", folder, "--json").json["added"] == 3
    hits = twotower("search", "bicycles", "--mode", "bm25", "--json").json["hits"]
    assert [(hit["source"], hit["copies"]) for hit in hits] == [
        ("parking.md", [{"source": "copy.md", "page": None}])
    ]
    options = ("--mode", "bm25", "--filter", "source=copy.md", "--json")
    assert [hit["source"] for hit in twotower("search", "bicycles", *options).json["hits"]] == [
        "copy.md"
    ]


def test_a_file_that_was_emptied_loses_its_passages(twotower, folder):
    twotower("ingest", folder)
    (folder / "parking.md").write_text("")
    done = twotower("ingest", folder, "--json")
    assert [entry["kind"] for entry in done.json["failed"]] == ["empty"]
    assert "its earlier text was removed" in done.json["failed"][0]["reason"]
    assert list(chunks_by_source(twotower.data_dir)) == ["notes/seals.txt"]


def test_a_file_that_can_no_longer_be_read_keeps_its_passages_as_out_of_date(twotower, folder):
    twotower("ingest", folder)
    text = (folder / "parking.md").read_bytes()
    (folder / "parking.md").write_bytes(bytes(range(256)) * 40)
    done = twotower("ingest", folder, "--json")
    assert "marked as out of date" in done.json["failed"][0]["reason"]
    (hit,) = twotower("search", "bicycles", "--mode", "bm25", "--json").json["hits"]
    assert "binary" in hit["outdated"]
    assert "out of date: " in twotower("search", "bicycles", "--mode", "bm25").out
    listed = {entry["source"]: entry["outdated"] for entry in twotower("list", "--json").json}
    assert listed == {"notes/seals.txt": "", "parking.md": hit["outdated"]}
    assert "out of date" in twotower("list").out
    (folder / "parking.md").write_bytes(text)
    assert twotower("ingest", folder, "--json").json["unchanged"] == 2
    (hit,) = twotower("search", "bicycles", "--mode", "bm25", "--json").json["hits"]
    assert hit["outdated"] is None


def test_a_search_says_that_the_first_ingestion_is_running(twotower):
    catalog = LocalCatalog(twotower.data_dir, StoreOptions())
    with catalog.ingestion_lock("documents"):
        done = twotower("search", "bicycles")
    assert (done.code, "the first ingestion into 'documents' is running" in done.err) == (3, True)
    assert twotower("search", "bicycles").code == 2


def test_bad_files_are_reported_once_and_the_others_are_searchable(twotower, folder):
    (folder / "zero.txt").write_bytes(b"")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (folder / "latin.txt").write_bytes(
        "Die Prüfung der Geräte für Überdruck erfolgt jährlich im März.".encode("latin-1")
    )
    write_unreadable_pdfs(folder)
    (folder / "bomb.pdf").write_bytes(stream_bomb())
    (folder / "broken.docx").write_bytes(b"PK\x03\x04 no zip file")
    done = twotower("ingest", folder, "--json", TWOTOWER_PARSE_MEMORY_MB="700")
    assert done.code == 1
    assert {entry["source"]: entry["kind"] for entry in done.json["failed"]} == {
        "zero.txt": "empty",
        "binary.txt": "binary",
        "blank.pdf": "no-text",
        "locked.pdf": "encrypted",
        "broken.pdf": "malformed",
        "bomb.pdf": "crashed",
        "broken.docx": "malformed",
    }
    assert done.json["added"] == 3
    assert all("\n" not in entry["reason"] for entry in done.json["failed"])
    hits = twotower("search", "Überdruck Prüfung", "--mode", "bm25", "--json").json["hits"]
    assert hits[0]["source"] == "latin.txt"

    shown = twotower("ingest", folder, TWOTOWER_PARSE_MEMORY_MB="700")
    assert shown.code == 1
    for name in ("zero.txt", "locked.pdf", "bomb.pdf"):
        assert (shown.out + shown.err).count(name) == 1


def test_a_file_without_read_permission_is_reported(twotower, tmp_path):
    locked = tmp_path / "private.md"
    locked.write_text("secret")
    locked.chmod(0)
    done = twotower.fresh("ingest", locked, "--json", prefix=WITHOUT_PRIVILEGE)
    assert done.code == 1
    assert done.json["failed"] == [
        {
            "source": "private.md",
            "kind": "unreadable",
            "reason": "the file cannot be read: Permission denied",
        }
    ]


def test_a_file_that_no_loader_reads_is_reported(twotower, folder):
    (folder / "tune.mp3").write_bytes(b"ID3")
    done = twotower("ingest", folder / "tune.mp3", "--json")
    assert (done.code, done.json["failed"][0]["kind"]) == (1, "unsupported")
    done = twotower("ingest", folder)
    assert (done.code, "1 x .mp3" in done.out) == (0, True)


def test_missing_and_empty_paths_do_not_stop_the_others(twotower, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    done = twotower("ingest", tmp_path / "missing", folder, tmp_path / "empty", "--json")
    assert done.code == 2
    assert done.json["added"] == 2
    errors = done.err.splitlines()
    assert len(errors) == 2
    assert "missing: no such file or folder" in errors[0]
    assert "no document in this folder" in errors[1]


def test_a_run_in_which_every_file_fails_creates_no_collection(twotower, tmp_path):
    (tmp_path / "zero.txt").write_bytes(b"")
    assert twotower("ingest", tmp_path / "zero.txt").code == 1
    assert twotower("status", "--json").json["collections"] == []


def test_a_data_directory_that_is_not_writable_is_reported(twotower, folder, tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    done = twotower("ingest", folder, TWOTOWER_DATA_DIR=str(file / "data"))
    assert done.code == 3
    assert "TWOTOWER_DATA_DIR" in done.err
    assert len(done.err.splitlines()) == 1


def test_settings_that_differ_from_the_collection_are_reported(twotower, folder):
    twotower("ingest", folder)
    done = twotower("ingest", folder, TWOTOWER_CHUNK_TOKENS="128")
    assert done.code == 2
    assert "chunk_tokens 256 in the index, 128 in the settings" in done.err
    # The prompts, like the encoder, are those of the collection.
    done = twotower("search", "seals", "--json", TWOTOWER_QUESTION_PROMPT="query: ")
    assert done.json["hits"] == twotower("search", "seals", "--json").json["hits"]


def test_chunks_longer_than_the_encoders_window_are_refused(twotower, folder):
    done = twotower("ingest", folder, TWOTOWER_CHUNK_TOKENS="512")
    assert done.code == 2
    assert "reads only 256 tokens" in done.err


def test_empty_and_too_long_paths_are_refused(twotower):
    assert twotower("ingest", "").code == 2
    done = twotower("ingest", "a" * 5000)
    assert (done.code, "too long" in done.err) == (2, True)


def test_a_path_through_a_link_or_a_parent_is_the_same_document(twotower, folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    twotower("ingest", folder)
    for path in (tmp_path / "link" / "parking.md", folder / "notes" / ".." / "parking.md"):
        report = twotower("ingest", path, "--json").json
        assert (report["added"], report["unchanged"]) == (0, 1), path


def test_the_data_directory_is_not_ingested(twotower, folder):
    inside = {"TWOTOWER_DATA_DIR": str(folder / "index")}
    first = twotower("ingest", folder, "--json", **inside).json
    second = twotower("ingest", folder, "--json", **inside).json
    assert (first["added"], second["added"], second["unchanged"]) == (2, 0, 2)


def test_two_ingestions_into_one_collection_do_not_run_at_once(twotower, folder):
    lock = Application(load_settings({}, data_dir=twotower.data_dir)).catalog.ingestion_lock(
        "documents"
    )
    with lock:
        done = twotower("ingest", folder)
    assert (done.code, "another ingestion" in done.err) == (3, True)
    assert twotower("ingest", folder).code == 0


def test_an_empty_setting_counts_as_unset(twotower, folder):
    twotower("ingest", folder)
    assert twotower("ingest", folder, TWOTOWER_PASSAGE_PROMPT="").code == 0
    done = twotower("ingest", folder, TWOTOWER_LANGUAGE="klingon")
    assert (done.code, "klingon" in done.err) == (2, True)
    done = twotower("ingest", folder, TWOTOWER_LANGUAGE="german")
    assert (done.code, "language auto in the index" in done.err) == (2, True)


def test_the_prompt_counts_towards_the_window(twotower, folder, model, model_cache):
    prompt = "passage, to be represented for retrieval: "
    add_prompt(model_cache, model, prompt)
    (folder / "long.txt").write_text("The pump is serviced every spring by the workshop. " * 200)
    assert twotower("ingest", folder, TWOTOWER_PASSAGE_PROMPT=prompt).code == 0
    tokenizer = load_tokenizer(model.path)
    for chunks in chunks_by_source(twotower.data_dir).values():
        for chunk in chunks:
            assert len(tokenizer.encode(prompt + chunk.encoded_text).ids) <= model.window


def test_gone_documents_are_reported_and_pruned_on_request(twotower, folder):
    twotower("ingest", folder)
    (folder / "parking.md").unlink()
    kept = twotower("ingest", folder)
    assert "parking.md" in kept.out
    assert "--prune" in kept.out
    plan = twotower("ingest", folder, "--prune", "--dry-run", "--json").json
    assert plan == [{"action": "remove", "source": "parking.md"}]
    report = twotower("ingest", folder, "--prune", "--json").json
    assert (report["removed"], report["gone"]) == (1, [])
    assert twotower("search", "bicycles", "--mode", "bm25", "--json").json["hits"] == []


def test_an_empty_folder_prunes_nothing(twotower, folder):
    """An unmounted disk looks like an empty folder."""
    twotower("ingest", folder)
    shutil.rmtree(folder)
    folder.mkdir()
    assert twotower("ingest", folder, "--prune").code == 2
    assert len(twotower("list", "--json").json) == 2


def test_a_renamed_file_embeds_nothing(twotower, folder):
    twotower("ingest", folder)
    (folder / "parking.md").rename(folder / "where bicycles go.md")
    report = twotower("ingest", folder, "--json").json
    assert (report["moved"], report["added"], report["chunks_embedded"]) == (1, 0, 0)
    assert sorted(chunks_by_source(twotower.data_dir)) == [
        "notes/seals.txt",
        "where bicycles go.md",
    ]
    hits = twotower("search", "where do bicycles stand", "--json").json["hits"]
    assert hits[0]["source"] == "where bicycles go.md"
    assert hits[0]["legs"]["dense"]["rank"] == 1


def test_a_dry_run_writes_nothing(twotower, folder):
    done = twotower("ingest", folder, "--dry-run")
    assert (done.code, done.out.splitlines()[-1]) == (0, "2 actions")
    assert twotower("status", "--json").json["collections"] == []


def test_documents_can_be_listed_shown_and_deleted(twotower, folder):
    twotower("ingest", folder)
    listed = twotower("list", "--json").json
    assert [record["source"] for record in listed] == ["notes/seals.txt", "parking.md"]
    assert "parking.md" in twotower("list").out
    (chunk,) = twotower("show", "parking.md", "--json").json
    assert chunk["text"].endswith("oak tree.")
    assert "oak tree" in twotower("show", "parking.md").out
    wrong = twotower("delete", "parking.md", "parkin.md")
    assert (wrong.code, "did you mean 'parking.md'?" in wrong.err) == (2, True)
    assert twotower("delete", "parking.md", "--json").json == {
        "removed": ["parking.md"], "chunks": 1
    }  # fmt: skip
    assert [record["source"] for record in twotower("list", "--json").json] == ["notes/seals.txt"]


def test_a_second_run_over_many_files_embeds_nothing(twotower, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(300):
        (folder / f"{n}.txt").write_text(f"Note number {n} tells where tool {n * 7} is kept.")
    assert twotower("ingest", folder).code == 0
    again = twotower("ingest", folder, "--json").json
    assert (again["unchanged"], again["chunks_embedded"]) == (300, 0)


def test_one_changed_paragraph_embeds_at_most_three_chunks(twotower, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    paragraphs = [f"Paragraph {n}. " + "The pump is oiled in spring. " * 18 for n in range(80)]
    (folder / "long.txt").write_text("\n\n".join(paragraphs))
    first = twotower("ingest", folder, "--json").json
    assert first["chunks_total"] >= 50
    paragraphs[40] = "Paragraph 40 is another now. " + "The pump is oiled in autumn. " * 18
    (folder / "long.txt").write_text("\n\n".join(paragraphs))
    assert 1 <= twotower("ingest", folder, "--json").json["chunks_embedded"] <= 3


def test_watching_ingests_changes(twotower, folder):
    process = twotower.start("ingest", folder, "--watch", "--prune", "--json")
    out = twotower.data_dir.parent / "out"

    def wait_for(text: str) -> None:
        deadline = time.monotonic() + 300
        while text not in re.sub(r"\s+", "", out.read_text() if out.exists() else ""):
            assert time.monotonic() < deadline, out.read_text()
            time.sleep(0.1)

    try:
        wait_for('"added":2')
        (folder / "new.md").write_text("# New\n\nKayaks hang in the loft.")
        wait_for('"added":1')
        (folder / "parking.md").unlink()
        wait_for('"removed":1')
        os.kill(process, signal.SIGINT)
    except BaseException:
        os.kill(process, signal.SIGKILL)  # the next command would wait for this one
        twotower.wait()
        raise
    assert twotower.wait().code == 0
    assert sorted(chunks_by_source(twotower.data_dir)) == ["new.md", "notes/seals.txt"]
