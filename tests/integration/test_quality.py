"""The figures that the README states, measured anew."""

import json
import re
from pathlib import Path

import pytest
from ir_measures import nDCG

from app.ingestion import Ingestion
from app.settings import load_settings
from app.wiring import Application
from benchmarks.handbook import EXAMPLES, evaluate, read_questions
from tests.conftest import ROOT

FILINGS = ROOT.parent / "shared" / "data" / "filings"


@pytest.fixture(scope="module")
def scores(application):
    questions, judged = read_questions(EXAMPLES)
    with application.catalog.open("documents") as collection:
        retriever = application.retriever(collection)
        return {
            mode: evaluate(retriever, mode, questions, judged).overall[nDCG @ 10]
            for mode in ("hybrid", "dense", "bm25")
        }


def test_hybrid_is_at_least_as_good_as_each_leg(scores):
    assert scores["hybrid"] >= max(scores["dense"], scores["bm25"])


def test_the_readme_states_what_was_measured(scores):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for mode, score in scores.items():
        stated = re.search(rf"^\| {mode} \| ([\d.]+) \|", readme, re.MULTILINE)
        assert stated, f"the README states no figure for {mode}"
        assert float(stated[1]) == pytest.approx(score, abs=0.005)


def test_the_questions_of_the_handbook():
    questions, judged = read_questions(EXAMPLES)
    kinds = [entry["kind"] for entry in questions.values()]
    assert len(questions) >= 60
    assert kinds.count("unanswerable") >= 10
    unjudged = {id for id, entry in questions.items() if entry["kind"] == "unanswerable"}
    assert set(questions) - set(judged) == unjudged
    for places in judged.values():
        for place in places:
            assert (EXAMPLES / "handbook" / place.split("#")[0]).is_file()


def test_the_evidence_pages_of_real_filings_are_found(tmp_path):
    if not FILINGS.is_dir():
        pytest.skip("the evaluation sets do not lie beside this checkout")
    application = Application(load_settings({}, data_dir=tmp_path))
    with Ingestion(application, [FILINGS], "filings") as ingestion:
        assert not [outcome for outcome in ingestion.run() if outcome.status == "failed"]
    found = 0
    with application.catalog.open("filings") as collection:
        retriever = application.retriever(collection)
        for line in (FILINGS / "questions.jsonl").read_text(encoding="utf-8").splitlines():
            asked = json.loads(line)
            wanted = {(asked["doc"], evidence["page"] + 1) for evidence in asked["evidence"]}
            places = {
                (Path(hit.chunk.provenance.source).stem, hit.chunk.provenance.page)
                for hit in retriever.retrieve(asked["question"], limit=10)
            }
            found += bool(wanted & places)
    assert found >= 3
