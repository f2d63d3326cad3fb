"""A folder of hostile files: no crash, no hang, nothing from outside; good files are found."""

import os

from tests import hostile
from tests.integration.test_ingest import WITHOUT_PRIVILEGE


def test_a_hostile_folder(twotower, tmp_path):
    folder = tmp_path / "folder"
    hostile.write(folder, tmp_path / "outside-secret.txt")
    twotower.environment |= {"TWOTOWER_PARSE_MEMORY_MB": "700", "TWOTOWER_PARSE_SECONDS": "20"}
    done = twotower.fresh("ingest", folder, "--json", prefix=WITHOUT_PRIVILEGE)
    assert done.code == 1, done.err
    assert "Traceback" not in done.err
    report = done.json
    sources = [entry["source"] for entry in report["failed"]]
    assert len(sources) == len(set(sources))
    kinds = {entry["source"]: entry["kind"] for entry in report["failed"]}
    for name, allowed in hostile.EXPECTED.items():
        assert kinds.pop(name, "not reported") in allowed, name
    assert set(kinds.values()) == {"empty"}
    assert len(kinds) == hostile.EMPTY
    assert report["added"] == len(hostile.GOOD) + len(hostile.ODD_NAMES)

    hits = twotower("search", "goodphrase", "--mode", "bm25", "--json").json["hits"]
    assert {hit["source"] for hit in hits} == set(hostile.GOOD)
    hits = twotower("search", "oddphrase", "--mode", "bm25", "--json").json["hits"]
    assert {hit["source"] for hit in hits} == set(hostile.ODD_NAMES)
    assert twotower("search", "secretphrase", "--mode", "bm25", "--json").json["hits"] == []

    shown = twotower("search", "oddphrase", "--mode", "bm25").out
    assert "new\\nline.txt" in shown
    assert "\u202e" not in shown


def test_a_file_that_changes_while_it_is_read(twotower, tmp_path):
    """The content that a worker reads must have the hash that the run was planned with."""
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "a.txt"
    file.write_text("before " * 1000)
    twotower.start("ingest", tmp_path / "folder", "--json", before=["tests.change_after_plan"],
                   TWOTOWER_TEST_CHANGE=str(file))  # fmt: skip
    done = twotower.wait()
    assert done.code == 1
    assert [(e["source"], e["kind"]) for e in done.json["failed"]] == [("a.txt", "changed")]
    assert twotower("ingest", tmp_path / "folder").code == 0


def test_a_file_that_vanishes_while_it_is_read(twotower, tmp_path):
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "a.txt"
    file.write_text("before")
    twotower.start("ingest", tmp_path / "folder", "--json", before=["tests.change_after_plan"],
                   TWOTOWER_TEST_CHANGE=str(file), TWOTOWER_TEST_VANISH="1")  # fmt: skip
    done = twotower.wait()
    assert (done.code, len(done.json["failed"])) == (1, 1)
    assert not os.path.exists(file)  # noqa: PTH110
