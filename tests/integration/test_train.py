"""`twotower train`: questions in a person's own words move towards their passages."""

import json

import pytest

from tests.animals import write_animals
from tests.conftest import CommandLine, add_prompt, copy_sparse
from twotower.app.services.clicks import Clicks


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("animals")
    write_animals(folder)
    return folder


@pytest.fixture(scope="module")
def ingested(zygote, model_cache, labelled, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ingested")
    line = CommandLine(zygote, model_cache, folder / "data", folder)
    assert line("ingest", labelled / "docs").code == 0
    return line


@pytest.fixture
def copy(ingested, model_cache, tmp_path):
    line = CommandLine(ingested._zygote, model_cache, tmp_path / "data", tmp_path)
    copy_sparse(ingested.data_dir, line.data_dir)
    return line


def first(line) -> tuple[str, int | None]:
    found = line("search", "osprey in the green zone", "--json").json
    return found["hits"][0]["source"], found["question_map"]


def test_a_map_that_pays_is_kept_live_shown_copied_and_removed(copy, labelled, tmp_path):
    chunks = copy("status", "--json").json["collections"][0]["chunks"]
    done = copy("train", "--queries", labelled / "queries.jsonl")
    assert done.code == 0, done.err
    assert "Kept as question map 1 of 'documents'" in done.out
    assert first(copy) == ("osprey-shore.md", 1)
    assert "question map 1" in copy("search", "osprey", "--explain").out
    assert copy("search", "osprey", "--mode", "bm25", "--json").json["question_map"] is None

    state = copy("status", "--json").json["collections"][0]
    assert state["chunks"] == chunks
    learned = state["question_map"]
    assert learned["learned_from"] == {"labels": 48}
    hybrid = learned["verdict"]["ndcg@10"]["hybrid"]
    assert hybrid["after"] > hybrid["before"] + 0.1
    assert hybrid["p"] < 0.01
    assert "question map 1, learned on" in copy("status").out

    # A second one has the next number; it is compared with no map, not with the first.
    again = copy("train", "--queries", labelled / "queries.jsonl", "--json").json
    assert (again["question_map"], again["ndcg@10"]["hybrid"]) == (2, hybrid)

    assert copy("backup", tmp_path / "b.twotower").code == 0
    for line in (("restore", tmp_path / "b.twotower"), ("reindex", "--force")):
        assert copy(*line).code == 0
        assert first(copy) == ("osprey-shore.md", 2)

    assert "question map 2 of 'documents' was removed" in copy("rollback").out
    assert first(copy)[1] == 1
    assert copy("rollback").code == 0
    assert first(copy)[1] is None
    assert "version 2 of 'documents' is live" in copy("rollback").out


def test_a_map_is_not_kept_for_another_encoder(copy, labelled, model_cache, model):
    assert copy("train", "--queries", labelled / "queries.jsonl").code == 0
    add_prompt(model_cache, model, "passage: ")
    done = copy("reindex", TWOTOWER_PASSAGE_PROMPT="passage: ")
    assert done.code == 0, done.err
    assert "question map 1 was learned for the old encoder" in done.out
    assert first(copy)[1] is None
    assert "version 1 of 'documents' is live" in copy("rollback").out
    assert first(copy) == ("osprey-shore.md", 1)


def test_a_map_that_does_not_pay_is_not_kept(copy, labelled, tmp_path):
    """Labels at random: no question teaches anything about another one."""
    (tmp_path / "qrels").mkdir()
    (tmp_path / "queries.jsonl").write_text((labelled / "queries.jsonl").read_text())
    lines = (labelled / "qrels" / "test.tsv").read_text().splitlines()
    sources = [line.split("\t")[1] for line in lines[1:]]
    shuffled = [sources[(7 * n + 5) % len(sources)] for n in range(len(sources))]
    rows = [f"{line.split()[0]}\t{s}\t1" for line, s in zip(lines[1:], shuffled, strict=True)]
    (tmp_path / "qrels" / "test.tsv").write_text("\n".join([lines[0], *rows]))
    done = copy("train", "--queries", tmp_path / "queries.jsonl")
    assert done.code == 0, done.err
    assert "nothing was kept" in done.out
    assert copy("status", "--json").json["collections"][0]["question_map"] is None


def test_too_few_questions_and_no_labels_are_refused_in_one_line(copy, labelled, tmp_path):
    (tmp_path / "qrels").mkdir()
    few = (labelled / "queries.jsonl").read_text().splitlines()[:23]
    (tmp_path / "queries.jsonl").write_text("\n".join(few))
    (tmp_path / "qrels" / "test.tsv").write_text((labelled / "qrels" / "test.tsv").read_text())
    done = copy("train", "--queries", tmp_path / "queries.jsonl")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "too few questions: 23 of at least 30" in done.err
    done = copy("train")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "no labelled questions" in done.err


def test_clicks_are_learned_from_where_they_are_recorded(copy, labelled):
    questions = [json.loads(s) for s in (labelled / "queries.jsonl").read_text().splitlines()]
    assert copy("search", questions[0]["text"]).code == 0
    log = copy.data_dir / "clicks" / "documents.jsonl"
    assert not log.exists(), "nothing is recorded unless it is switched on"
    assert copy("search", questions[0]["text"], TWOTOWER_CLICK_LOG="true").code == 0
    (line,) = log.read_text().splitlines()
    entry = json.loads(line)
    assert (entry["question"], entry["clicked"]) == (questions[0]["text"], None)
    assert len(entry["shown"]) == 10

    clicks = Clicks(copy.data_dir, "documents", enabled=True)  # as the page writes them
    for question in questions:
        clicks.record(question["text"], entry["shown"], f"{question['_id']}.md")
    found = copy("train", "data", "--json").json
    sources = {source["name"]: source for source in found["sources"]}
    assert sources["clicks"]["usable"] == 48
    assert sources["sentences"]["questions"] == 48
    assert found["enough"] is True
    done = copy("train", "--json")
    assert done.json["question_map"] == 1
    learned = copy("status", "--json").json["collections"][0]["question_map"]
    assert learned["learned_from"] == {"clicks": 48}
    assert copy("train", "--from", "labels").code == 2

    log.write_text(log.read_text() + "{broken\n")
    done = copy("train")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "line 50: not a line of a click log" in done.err
