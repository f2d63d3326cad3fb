"""`twotower eval` and `twotower tune`, on small generated sets and on the example."""

import json
import shutil

import pytest

from tests.conftest import ROOT, CommandLine, copy_sparse

EXAMPLES = ROOT / "examples"
ANIMALS = ["otter", "badger", "heron", "kestrel", "marten", "adder", "grouse", "salmon"]


@pytest.fixture(scope="module")
def beir(tmp_path_factory):
    """24 documents, one of them longer than the encoder's window, and 24 questions."""
    folder = tmp_path_factory.mktemp("beir")
    (folder / "qrels").mkdir()
    rows, queries, judged = [], [], ["query-id\tcorpus-id\tscore", "gone\td0\t1", "q0\tgone\t1"]
    for n in range(24):
        animal, habitat = ANIMALS[n % 8], ("river", "forest", "shore")[n // 8]
        text = f"The {animal} lives near the {habitat} and is seen at dawn in month {n}."
        rows.append(
            {"_id": f"d{n}", "title": f"{animal} {habitat}", "text": text * (40 if n == 5 else 1)}
        )
        queries.append({"_id": f"q{n}", "text": f"where does one see a {animal} at the {habitat}?"})
        judged.append(f"q{n}\td{n}\t1")
    queries.append({"_id": "none", "text": "what is the price of steel"})
    for name, entries in (("corpus", rows), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, entries)))
    (folder / "qrels" / "test.tsv").write_text("\n".join(judged))
    return folder


def test_eval_measures_a_folder_in_the_layout_of_beir(twotower, beir):
    done = twotower("eval", beir, "--rerank", "late-interaction", "--per-question", "--json")
    assert done.code == 0, done.err
    result = done.json
    assert result["questions"] == 24
    assert result["unanswerable"] == 1
    assert result["unknown"] == {"questions": 1, "documents": 1}
    systems = result["systems"]
    assert [(s["mode"], s["rerank"]) for s in systems] == [
        ("hybrid", "none"), ("dense", "none"), ("bm25", "none"), ("hybrid", "late-interaction"),
    ]  # fmt: skip
    for system in systems:
        assert 0.5 < system["ndcg@10"] <= 1.0
        assert system["ci95"][0] <= system["ndcg@10"] <= system["ci95"][1]
        assert 0 < system["p50_ms"] <= system["p95_ms"]
        assert system["recall@10"] <= system["recall@100"] == 1.0
    assert len(result["per_question"]) == 24
    assert not list(twotower.data_dir.glob("collections/*")), "the temporary collection is removed"


def test_eval_reports_unknown_judgements_and_draws_a_chart(twotower, beir, tmp_path):
    chart = tmp_path / "chart.svg"
    done = twotower("eval", beir, "--mode", "bm25", "--mode", "dense", "--plot", chart)
    assert done.code == 0, done.err
    assert "1 judgements of unknown questions and 1 of unknown documents" in done.out
    assert "1 questions have no answer" in done.out
    assert chart.read_text().startswith("<?xml")
    refused = twotower("eval", beir, "--mode", "bm25", "--plot", tmp_path / "chart.txt")
    assert refused.code == 2
    assert "give a name that ends in .png or .svg" in refused.err


def test_eval_and_tune_work_on_a_live_collection(handbook, model_cache, tmp_path):
    copy = CommandLine(handbook._zygote, model_cache, tmp_path / "data", tmp_path)
    copy_sparse(handbook.data_dir, copy.data_dir)
    queries = EXAMPLES / "queries.jsonl"
    measured = copy("eval", "--queries", queries, "--mode", "bm25", "--json").json
    assert measured["questions"] == 87
    assert measured["unanswerable"] == 11
    before = copy("search", "where is the otter", "--json").json
    assert before["answerable"] == "unknown"
    calibrated = copy("eval", "--queries", queries, "--calibrate", "--json").json
    assert calibrated["auc_hidden"] > 0.8
    judged = copy("search", "how long is the guarantee of the KC-7", "--json").json
    assert judged["answerable"] == "true"
    assert judged["probability"] > 0.5
    off = copy("search", "best opening in chess against e4", "--json").json
    assert off["answerable"] == "false"
    assert len(off["hits"]) == 10, "the judgement removes no hits"
    assert "Probably no passage answers this" in copy("search", "chess opening against e4").out
    # Tuned options are stored with the collection; options of a search take precedence.
    few = tmp_path / "few"
    (few / "qrels").mkdir(parents=True)
    (few / "queries.jsonl").write_text("".join(queries.read_text().splitlines(True)[:30]))
    shutil.copy(EXAMPLES / "qrels" / "test.tsv", few / "qrels")
    tuned = copy("tune", few, "--json")
    assert tuned.code == 0, tuned.err
    result = tuned.json
    assert result["significant"] == bool(result["written"])
    if result["written"].get("rerank"):
        assert copy("search", "guarantee", "--json").json["rerank"] == result["written"]["rerank"]
    assert copy("search", "guarantee", "--rerank", "none", "--json").json["rerank"] == "none"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "choose one data set"),
        (("nowhere",), "no queries.jsonl"),
        (("--mode", "sparse"), "the option mode is 'sparse': choose one of hybrid, dense, bm25"),
        (("--queries", "nowhere.jsonl"), "does not exist"),
        (("--chunking", "nowhere"), "0 CSV files"),
    ],
)
def test_invalid_arguments_are_reported_in_one_line(twotower, arguments, message):
    done = twotower("eval", *arguments)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_tune_needs_20_judged_questions(twotower, beir, tmp_path):
    (tmp_path / "qrels").mkdir()
    for name in ("corpus.jsonl", "queries.jsonl"):
        (tmp_path / name).write_text((beir / name).read_text())
    (tmp_path / "qrels" / "test.tsv").write_text("q1\td1\t1\n")
    done = twotower("tune", tmp_path)
    assert done.code == 2
    assert "1 judged questions are too few to tune on" in done.err


def test_eval_measures_chunk_settings_on_labelled_excerpts(twotower, tmp_path):
    paragraphs = [
        f"## Part {n}\n\n" + f"The {a} is kept in box {n}. " * 12 for n, a in enumerate(ANIMALS)
    ]
    raw = "\n\n".join(paragraphs)
    (tmp_path / "zoo.md").write_text(raw)
    rows = ["question,references,corpus_id"]
    for animal in ANIMALS:
        start = raw.index(f"The {animal}")
        excerpt = {"content": "", "start_index": start, "end_index": start + 30}
        quoted = json.dumps([excerpt]).replace('"', '""')
        rows.append(f'where is the {animal},"{quoted}",zoo')
    (tmp_path / "questions.csv").write_text("\n".join(rows))

    def measured(**settings):
        done = twotower("eval", "--chunking", tmp_path, "--json", **settings)
        assert done.code == 0, done.err
        return done.json

    whole = measured()
    small = measured(TWOTOWER_CHUNK_TOKENS="64", TWOTOWER_OVERLAP_TOKENS="8")
    assert whole["questions"] == small["questions"] == 8
    assert small["chunks"] > whole["chunks"]
    assert whole["recall"] == 1.0
    assert small["precision"] > whole["precision"]
    assert 0 < whole["iou"] <= whole["precision"]
