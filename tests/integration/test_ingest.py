"""`twotower ingest` as a person or a script runs it: in a process of its own, on real files."""

import os
import shutil
import zlib
from pathlib import Path

import pypdf
import pytest

from app.settings import load_settings
from app.wiring import Application
from tests.conftest import HANDBOOK

# Root may read anything, unless it gives that up.
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


def test_the_handbook_is_ingested_whole(handbook):
    report = handbook.first_ingest.json
    files = [path for path in HANDBOOK.rglob("*") if path.is_file()]
    assert report["added"] == len(files)
    assert report["failed"] == []
    assert report["chunks_embedded"] == report["chunks_total"] > 300
    assert len({path.suffix for path in files}) >= 9


def test_a_second_run_embeds_nothing_and_says_so(handbook):
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


def test_the_network_guard_sees_what_leaves(twotower):
    """What the test above relies on: a model that is not local makes the program ask a hub."""
    twotower("ingest", HANDBOOK / "finance", TWOTOWER_ENCODER="organisation/model")
    assert twotower.refused_connections != ""


def test_a_changed_document_embeds_only_its_changed_chunks(twotower, folder):
    body = "The pump is serviced by the workshop every spring. " * 8
    parts = [f"## Part {n}\n\nNumber {n}. {body}\n\n" for n in range(6)]
    file = folder / "long.md"
    file.write_text("# Guide\n\n" + "".join(parts))
    first = twotower("ingest", folder, "--json").json
    before = chunks_by_source(twotower.data_dir)["long.md"]
    parts[2] = f"## Part 2\n\nNumber 2 was written anew. {body}\n\n"
    file.write_text("# Guide\n\n" + "".join([parts[5], *parts[:5]]))
    second = twotower("ingest", folder, "--json").json
    after = chunks_by_source(twotower.data_dir)["long.md"]
    assert (second["changed"], second["unchanged"]) == (1, 2)
    assert second["chunks_embedded"] <= 3  # the new one, and those that "Guide" moved between
    assert second["chunks_total"] == first["chunks_total"]
    assert [chunk.position for chunk in after] == list(range(len(before)))
    kept = {chunk.id for chunk in before} & {chunk.id for chunk in after}
    assert len(kept) == len(before) - second["chunks_embedded"]
    assert not any("Number 2. " in chunk.text for chunk in after)


def test_no_document_is_ingested_twice_by_another_path(twotower, folder):
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
    assert sorted(hit["source"] for hit in hits) == ["copy.md", "parking.md"]


def bomb() -> bytes:
    """A PDF of 1 MB whose page inflates to 900 MB: pdfium aborts when it gets no memory."""
    pack = zlib.compressobj(9)
    content = b"".join(pack.compress(b"q " * 5_000_000) for _ in range(90)) + pack.flush()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R >>",
        b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    body = b"%PDF-1.7\n"
    for number, each in enumerate(objects, 1):
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    return body + b"trailer << /Root 1 0 R >>\n%%EOF"


def test_bad_files_are_named_once_and_the_others_are_searchable(twotower, folder):
    (folder / "zero.txt").write_bytes(b"")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (folder / "latin.txt").write_bytes(
        "Die Prüfung der Geräte für Überdruck erfolgt jährlich im März.".encode("latin-1")
    )
    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    writer.write(folder / "blank.pdf")
    writer.encrypt("secret")
    writer.write(folder / "locked.pdf")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj")
    (folder / "bomb.pdf").write_bytes(bomb())
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


def test_a_file_without_permission_is_named(twotower, tmp_path):
    locked = tmp_path / "private.md"
    locked.write_text("secret")
    locked.chmod(0)
    done = twotower.fresh("ingest", locked, "--json", prefix=WITHOUT_PRIVILEGE)
    assert done.code == 1
    assert done.json["failed"] == [
        {
            "source": "private.md",
            "kind": "unreadable",
            "reason": "cannot be read: Permission denied",
        }
    ]


def test_a_file_that_no_loader_reads_says_so(twotower, folder):
    (folder / "tune.mp3").write_bytes(b"ID3")
    done = twotower("ingest", folder / "tune.mp3", "--json")
    assert (done.code, done.json["failed"][0]["kind"]) == (1, "unsupported")
    done = twotower("ingest", folder)
    assert (done.code, "1 x .mp3" in done.out) == (0, True)


def test_paths_that_lead_nowhere_do_not_stop_the_others(twotower, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    done = twotower("ingest", tmp_path / "missing", folder, tmp_path / "empty", "--json")
    assert done.code == 2
    assert done.json["added"] == 2
    complaints = done.err.splitlines()
    assert len(complaints) == 2
    assert "missing: no such file or folder" in complaints[0]
    assert "no document in this folder" in complaints[1]


def test_a_run_in_which_all_fail_leaves_no_collection(twotower, tmp_path):
    (tmp_path / "zero.txt").write_bytes(b"")
    assert twotower("ingest", tmp_path / "zero.txt").code == 1
    assert twotower("status", "--json").json["collections"] == []


def test_a_data_directory_that_cannot_be_written_to(twotower, folder, tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    done = twotower("ingest", folder, TWOTOWER_DATA_DIR=str(file / "data"))
    assert done.code == 3
    assert "TWOTOWER_DATA_DIR" in done.err
    assert len(done.err.splitlines()) == 1


def test_settings_that_do_not_fit_the_collection_are_named(twotower, folder):
    twotower("ingest", folder)
    done = twotower("ingest", folder, TWOTOWER_CHUNK_TOKENS="128")
    assert done.code == 2
    assert "chunk_tokens 256 in the index, 128 in the settings" in done.err
    done = twotower("search", "seals", TWOTOWER_QUESTION_PROMPT="query: ")
    assert done.code == 2
    assert "built with other settings" in done.err
    assert twotower("search", "seals", "--mode", "bm25", TWOTOWER_QUESTION_PROMPT="q").code == 0


def test_chunks_longer_than_the_encoder_reads_are_refused(twotower, folder):
    done = twotower("ingest", folder, TWOTOWER_CHUNK_TOKENS="512")
    assert done.code == 2
    assert "reads only 256 tokens" in done.err
