"""`twotower search` and `twotower status`: the contract that scripts rely on."""

import re
import shlex
import subprocess
import sys

import pytest

from tests.conftest import ROOT

TORQUE = "What torque do the flange bolts of the Heron 4 need?"


@pytest.fixture(scope="module")
def found(handbook):
    return handbook("search", TORQUE, "--limit", 5, "--json").json


def test_the_json_of_a_search(found):
    assert list(found) == [
        "question", "mode", "fusion", "rerank", "took_ms", "answerable", "probability",
        "ignored_phrases", "question_map", "out_of_time", "hits",
    ]  # fmt: skip
    assert (found["question"], found["mode"]) == (TORQUE, "hybrid")
    assert found["took_ms"] > 0
    assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3, 4, 5]
    keys = ["rank", "score", "chunk_id", "text", "source", "page", "headings", "modified"]
    keys += ["metadata", "legs", "fused", "reranked", "before", "after", "outdated", "copies"]
    for hit in found["hits"]:
        assert list(hit) == keys
        assert list(hit["legs"]) == ["dense", "bm25"]
        for place in hit["legs"].values():
            assert place is None or list(place) == ["rank", "score"]
    scores = [hit["score"] for hit in found["hits"]]
    assert scores == sorted(scores, reverse=True)


def test_a_fact_is_found_with_its_page(found):
    manual = [hit for hit in found["hits"] if hit["source"] == "products/heron-4-manual.pdf"]
    assert [hit["page"] for hit in manual] == [6]
    assert "Pump-head flange bolts | M12 | 55" in manual[0]["text"]


def test_a_page_is_null_where_the_format_has_none(handbook):
    hits = handbook("search", "travel policy", "--mode", "bm25", "--json").json["hits"]
    assert {hit["page"] for hit in hits if hit["source"].endswith(".md")} == {None}


@pytest.mark.parametrize(("mode", "other"), [("bm25", "dense"), ("dense", "bm25")])
def test_one_leg_alone(handbook, mode, other):
    found = handbook("search", TORQUE, "--mode", mode, "--json").json
    assert found["mode"] == mode
    assert found["hits"]
    assert all(hit["legs"][other] is None for hit in found["hits"])
    assert all(hit["legs"][mode]["score"] == hit["score"] for hit in found["hits"])


def test_what_a_person_sees(handbook):
    done = handbook("search", TORQUE, "--limit", 3, "--explain")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith(" 1. ")
    assert any("products/heron-4-manual.pdf:" in line for line in lines)
    assert any(line.strip().startswith("dense: rank ") for line in lines)
    assert lines[-1].startswith("3 hits in ")


def test_the_example_in_the_readme_is_what_is_printed(handbook):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    question, shown = re.search(
        r'^\$ twotower search "(.+)" --limit 1\n(.+?)^```', readme, re.MULTILINE | re.DOTALL
    ).groups()
    printed = handbook("search", question, "--limit", 1, COLUMNS="80").out
    lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
    expected = shown.splitlines()
    first, ours = expected[0].split(), lines[0].split()
    assert float(ours[1]) == pytest.approx(float(first[1]), abs=0.003)  # processors differ
    assert [ours[0], *ours[2:], *lines[1 : len(expected)]] == [first[0], *first[2:], *expected[1:]]


def test_no_hit_is_said(handbook):
    done = handbook("search", "qqqqqzzzzz", "--mode", "bm25")
    assert (done.code, done.out.startswith("Nothing found")) == (0, True)
    assert handbook("search", "qqqqqzzzzz", "--mode", "bm25", "--json").json["hits"] == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["search", ""], "the question is empty"),
        (["search", "x" * 100_000], "100,000 characters"),
        (["search", "seals", "--limit", "0"], "the option limit is 0: it must be between 1"),
        (["search", "seals", "--collection", "nope"], "(there are: documents)"),
        (["search", "seals", "--collection", "../up"], "cannot be the name of a collection"),
        (["search", "seals", "--mode", "magic"], "'magic': choose one of hybrid, dense, bm25"),
        (["search"], "Missing argument"),
        (["ingest"], "Missing argument"),
        (["frobnicate"], "No such command"),
    ],
)
def test_wrong_usage(handbook, arguments, complaint):
    done = handbook(*arguments, "--json") if len(arguments) > 1 else handbook(*arguments)
    assert done.code == 2
    assert complaint in done.err
    assert done.out == ""


def test_the_collection_is_a_setting(handbook):
    done = handbook("search", "seals", "--mode", "bm25", TWOTOWER_COLLECTION="nope")
    assert (done.code, "'nope'" in done.err) == (2, True)


def test_unknown_settings_are_refused(handbook):
    done = handbook("status", TWOTOWER_DATADIR="x")
    assert done.code == 2
    assert "did you mean TWOTOWER_DATA_DIR?" in done.err


def test_status(handbook):
    state = handbook("status", "--json").json
    (entry,) = state["collections"]
    first = handbook.first_ingest.json
    assert entry["name"] == "documents"
    assert (entry["documents"], entry["chunks"]) == (first["added"], first["chunks_total"])
    assert entry["bytes"] > 100_000
    assert entry["fingerprint"] == state["encoder"]["fingerprint"]
    assert entry["matches_settings"] is True
    assert "qdrant-edge" in state["engine"]
    shown = handbook("status")
    assert shown.code == 0
    for part in ("documents", str(entry["chunks"]), state["encoder"]["fingerprint"][:12], "MB"):
        assert part in shown.out


def test_status_of_an_empty_data_directory(twotower):
    done = twotower("status")
    assert done.code == 0
    assert "no collection yet" in done.out


HOLD = """
import sys, time
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
with Application(load_settings({}, data_dir=sys.argv[1])).catalog.open("documents"):
    print("open", flush=True)
    time.sleep(60)
"""


def test_a_collection_that_is_open_elsewhere(handbook):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(handbook.data_dir)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout.readline() == "open\n"
        for arguments in (["search", "seals"], ["ingest", __file__], ["status"]):
            done = handbook(*arguments)
            assert done.code == 3, arguments
            assert f"open in process {owner.pid} " in done.err
        owner.kill()
    assert handbook("search", "seals", "--mode", "bm25").code == 0


def test_a_reader_that_has_seen_enough(handbook):
    command = (
        f"{shlex.quote(sys.executable)} -m twotower search --mode bm25 seal --full --limit 100"
        " | head -1"
    )
    done = subprocess.run(
        command, shell=True, check=False, capture_output=True, text=True, env=handbook.environment
    )
    assert done.stdout.startswith(" 1. ")
    assert "bug" not in done.stderr
    assert "Traceback" not in done.stderr


def test_more_hits_do_not_change_the_first_ones(handbook):
    question = "how long is the warranty on seals"
    few, many = (
        handbook("search", question, "--limit", limit, "--json").json["hits"] for limit in (3, 400)
    )
    assert [(hit["chunk_id"], hit["score"]) for hit in many[:3]] == [
        (hit["chunk_id"], hit["score"]) for hit in few
    ]


@pytest.mark.parametrize("limit", [10_001, 10**25])
def test_a_limit_beyond_reason(handbook, limit):
    done = handbook("search", "seal", "--mode", "bm25", "--limit", limit)
    assert done.code == 2
    assert "bug" not in done.err


def test_invalid_bytes_in_a_question(handbook):
    assert handbook("search", "\udcff\udcfe seal kit", "--mode", "bm25").code == 0
