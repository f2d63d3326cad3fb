import shutil
from pathlib import Path

import pytest

from twotower.ingest.discover import discover
from twotower.ingest.sync import plan
from twotower.retrieval.vocabulary.documents import DocumentRecord


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "root"
    for name in ("a.md", "b/a.md", "b/c.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"text of {name}")
    return root


def plan_of(paths: list[Path], records=(), counts=None):
    counts = {record.source: record.chunks for record in records} if counts is None else counts
    return plan(discover(paths, {".md"}), records, counts, 10**6)


def planned(paths: list[Path], records=()):
    return plan_of(paths, records).files


def committed(files) -> list[DocumentRecord]:
    """The records that an ingestion of these files writes."""
    return [
        DocumentRecord(f.source, str(f.root), "T", f.content_hash, f.size, 1, None, "now")
        for f in files
        if f.action != "fail"
    ]


def actions(files) -> dict[str, str]:
    return {file.source: file.action for file in files}


def test_sources_are_relative_to_the_folder(root):
    assert actions(planned([root])) == {"a.md": "add", "b/a.md": "add", "b/c.md": "add"}


def test_a_second_run_keeps_every_document(root):
    assert set(actions(planned([root], committed(planned([root])))).values()) == {"keep"}


def test_only_new_content_is_a_change(root):
    records = committed(planned([root]))
    (root / "a.md").touch()
    (root / "b" / "c.md").write_text("new")
    assert actions(planned([root], records)) == {
        "a.md": "keep",
        "b/a.md": "keep",
        "b/c.md": "change",
    }


def test_a_path_inside_an_ingested_folder_is_the_same_document(root):
    records = committed(planned([root]))
    assert actions(planned([root / "b"], records)) == {"b/a.md": "keep", "b/c.md": "keep"}
    assert actions(planned([root / "b" / "c.md"], records)) == {"b/c.md": "keep"}
    (root / "b" / "new.md").write_text("new")
    assert actions(planned([root / "b"], records))["b/new.md"] == "add"


def test_a_folder_above_an_ingested_one_adds_only_the_rest(root):
    records = committed(planned([root / "b"]))
    assert actions(planned([root], records)) == {"root/a.md": "add", "a.md": "keep", "c.md": "keep"}


def test_a_folder_that_moved_is_not_ingested_twice(root, tmp_path):
    records = committed(planned([root]))
    moved = root.rename(tmp_path / "elsewhere")
    files = planned([moved], records)
    assert actions(files) == {"a.md": "relocate", "b/a.md": "relocate", "b/c.md": "relocate"}
    assert {file.root for file in files} == {moved}


def test_files_of_one_name_in_two_folders_stay_two_documents(root, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(root / "b", other)
    files = planned([root / "b", other])
    assert actions(files) == {
        "a.md": "add",
        "c.md": "add",
        "other/a.md": "add",
        "other/c.md": "add",
    }
    again = planned([other, root / "b"], committed(files))
    assert set(actions(again).values()) == {"keep"}
    assert len(again) == 4


def test_a_file_name_that_is_not_utf8_fails_and_the_others_do_not(root):
    bad = root / "b" / "caf\udce9.md"
    bad.write_text("x")
    files = planned([root])
    assert actions(files) == {
        "a.md": "add",
        "b/a.md": "add",
        "b/c.md": "add",
        "b/caf\\udce9.md": "fail",
    }
