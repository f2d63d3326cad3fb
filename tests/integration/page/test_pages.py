"""Every page in every state, with Streamlit's test runner and a real index."""

import dataclasses
import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tests.conftest import HANDBOOK, copy_sparse
from tests.integration.page.conftest import QUESTION, VIEWS, button, open_view, run, text_of
from tests.scripted_model import Model
from twotower.app.services.background import ingest
from twotower.retrieval.models.question_map import QuestionMap, encoded
from twotower.retrieval.search.phrases import Narrowed
from twotower.retrieval.vocabulary.filters import Filter
from twotower.ui import resources

# Empty


@pytest.mark.parametrize(
    ("view", "title"),
    [
        ("search", "Nothing to search yet"),
        ("ask", "Nothing to ask yet"),
        ("documents", "No documents yet"),
        ("quality", "Nothing to measure yet"),
        ("index", "No index yet"),
    ],
)
def test_an_empty_collection_shows_the_next_step(visit, view, title):
    text = text_of(visit().page(view))
    assert title in text
    assert "(/documents)" in text or view == "documents"


def test_a_button_ingests_the_example(visit):
    page = visit().page("documents")
    button(page, "Try it with the example handbook").click()
    run(page)
    job = resources.workspace().jobs.of("ingest")[-1]
    while job.active:
        time.sleep(0.1)
    text = text_of(run(page))
    assert "45 added" in text
    assert "No documents yet" not in text


# Full


@pytest.mark.parametrize("view", VIEWS)
def test_every_page_shows_a_real_index(full, view):
    assert "yet" not in text_of(full.page(view)).lower().split()


def test_a_search_shows_hits_with_the_parts_of_their_scores(full):
    page = full.page("search", q=QUESTION)
    text = text_of(page)
    assert text.count("<article class='hit'") == 10
    assert "policies/warranty-terms.html" in text
    assert "<mark class='term'>Seals</mark>" in text
    assert "meaning 0." in text
    assert "words 0." in text


def test_a_search_uses_the_settings_in_the_address(full):
    page = full.page("search", q=QUESTION, mode="Words", hits="5", **{"facet-type": "html"})
    assert page.slider(key="hits").value == 5
    assert page.multiselect(key="facet-type").value == ["html"]
    text = text_of(page)
    assert text.count("<article class='hit'") == 5
    assert text.count(".html") >= 5
    assert "meaning 0." not in text


@pytest.mark.parametrize(
    "query",
    [
        {"hits": "many", "mode": "Xyz", "rerank": "7", "compare": "perhaps"},
        {"facet-type": "zzz", "per-document": "-3"},
        {"collection": "../../etc"},
    ],
)
def test_invalid_settings_in_the_address_are_ignored(full, query):
    assert "<article class='hit'" in text_of(full.page("search", q=QUESTION, **query))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"filter": "foo"}, "filter 'foo' has no operator"),
        ({"filter": "colour=red"}, "unknown key 'colour'"),
        ({"q": '"zzz qqq xxx"'}, 'No passage contains "zzz qqq xxx": searched without it'),
        ({"filter": "source=zzz/**"}, "Nothing found"),
    ],
)
def test_a_search_that_is_not_possible_shows_one_line(full, query, message):
    assert message in text_of(full.page("search", **({"q": QUESTION} | query)))


def test_two_searches_are_compared_with_the_changes_of_rank(full):
    page = full.page("search", q="price of the handle", compare="true", **{"mode-2": "Words"})
    text = text_of(page)
    assert text.count("<article class='hit'") > 10
    assert "**B: Words**" in text
    assert "class='moved" in text


def test_a_label_is_saved_and_can_be_removed(full):
    page = full.page("search", q=QUESTION, label="true")
    controls = [one for one in page.segmented_control if "answer the question" in one.label]
    assert len(controls) == 10
    controls[0].set_value(1)
    run(page)
    labels = full.workspace.labels("documents")
    assert labels.of(QUESTION) == {"policies/warranty-terms.html": 1}
    fresh = full.page("search", q=QUESTION, label="true")
    control = next(one for one in fresh.segmented_control if "answer the question" in one.label)
    assert control.value == 1
    control.set_value(None)
    run(fresh)
    assert labels.of(QUESTION) == {}


def test_the_views_of_a_hit_open_on_demand(full):
    page = full.page("search", q="energy used, MWh, accidents with lost time")
    assert "cosine" not in text_of(page)
    open_view(page, "why")
    assert "cosine" in text_of(page)
    open_view(page, "around")
    assert "class='own'" in text_of(page)
    open_view(page, "page")
    assert len(page.image) == 1


def test_a_page_of_a_missing_file_shows_a_notice(full):
    with full.workspace.opened("documents") as collection:
        record = next(r for r in collection.documents() if r.source.endswith("report-2024.pdf"))
        collection.write_document(dataclasses.replace(record, root="/nowhere"))
    page = full.page("search", q="energy used, MWh, accidents with lost time")
    open_view(page, "page")
    assert "no longer on this machine" in text_of(page)


def test_an_answer_without_a_model_is_quoted_with_a_notice(full):
    page = full.page("ask")
    assert "No language model is set" in text_of(page)
    page.chat_input[0].set_value("security token has gone missing, who do I tell")
    text = text_of(run(page))
    assert "<sup>[1]</sup>" in text
    assert "call ext. 250 straight away" in " ".join(text.split())


def test_an_answer_of_a_model_marks_unsupported_sentences_and_escapes_html(full, handbook, visit):
    reply = (
        "If you lose one, call ext. 250 straight away; it is blocked within minutes. [1] The moon "
        "is made of cheese. [2] <img src=http://evil.example/x onerror=alert(1)> "
        "![x](http://evil.example/y) [9]"
    )
    model = Model(reply)
    try:
        page = visit(
            full.workspace.settings.data_dir, llm="vllm:scripted", llm_url=f"{model.url}/v1"
        ).page("ask")
        page.chat_input[0].set_value("security token has gone missing, who do I tell")
        text = text_of(run(page))
    finally:
        model.close()
    assert "call ext. 250 straight away" in text
    assert "class='unsupported'" in text
    assert "cites [9], which does not exist" in text
    assert "<img" not in text
    assert "&lt;img" in text
    assert all("evil" not in markdown.value for markdown in page.markdown)


def test_an_interrupted_answer_shows_an_error_and_the_conversation_continues(full, visit):
    model = Model("One two three four five six. [1]", breaks="halfway")
    try:
        page = visit(
            full.workspace.settings.data_dir, llm="vllm:scripted", llm_url=f"{model.url}/v1"
        ).page("ask")
        page.chat_input[0].set_value("who do I tell")
        run(page)
        assert "broke off" in text_of(page) or "ended" in text_of(page)
        model.breaks = ""
        page.chat_input[0].set_value("and where")
        assert "One two three" in text_of(run(page))
    finally:
        model.close()


def test_a_question_without_passages_is_not_answered(full, monkeypatch):
    nothing = Narrowed(Filter(ids=()), ())  # a filter that no passage meets
    monkeypatch.setattr("twotower.retrieval.search.retriever.narrowed", lambda *_: nothing)
    page = full.page("ask")
    page.chat_input[0].set_value(QUESTION)
    assert "do not answer this" in text_of(run(page))


def test_the_example_can_be_evaluated(full):
    page = full.page("quality")
    assert page.selectbox[0].value == "The example handbook"
    page.multiselect[0].set_value(["hybrid", "bm25"])
    button(run(page), "Measure").click()
    run(page)
    job = full.workspace.jobs.of("evaluate")[-1]
    while job.active:
        time.sleep(0.2)
    page = full.page("quality")
    text = text_of(page)
    assert "87 questions" in text
    assert list(page.dataframe[0].value["Search method"]) == ["Hybrid", "Words"]
    assert float(page.dataframe[0].value["nDCG@10"][0]) > 0.8
    assert len(page.get("vega_lite_chart")) == 2


@pytest.mark.parametrize("enabled", [True, False])
def test_opened_hits_are_recorded_where_the_click_log_is_on(visit, handbook, tmp_path, enabled):
    copy_sparse(handbook.data_dir, tmp_path / "copy")
    own = visit(tmp_path / "copy", click_log=enabled)
    page = own.page("search", q=QUESTION)
    run(page)  # the same search again is not recorded again
    open_view(page, "why")
    entries = own.workspace.clicks("documents")._entries()
    dataset = own.workspace.clicks("documents").dataset()
    if not enabled:
        assert entries == []
        return
    assert [clicked is None for _, clicked in entries] == [True, False]
    assert list(dataset.judged) == [QUESTION]
    assert entries[1][1] in dataset.judged[QUESTION]


def test_learning_from_the_example_says_that_it_does_not_pay(full):
    page = full.page("quality")
    button(page, "Learn from these questions").click()
    run(page)
    job = full.workspace.jobs.of("train")[-1]
    while job.active:
        time.sleep(0.2)
    page = full.page("quality")
    assert "No gain is shown in hybrid search, so nothing was kept" in text_of(page)
    assert list(page.dataframe[0].value["Search method"]) == ["Hybrid", "Meaning", "Words"]
    assert len(page.get("vega_lite_chart")) == 1
    button(page, "Close").click()
    assert not run(page).dataframe


def test_a_folder_without_questions_is_refused(full, tmp_path):
    page = full.page("quality")
    page.selectbox[0].set_value("A folder on this machine")
    run(page).text_input(key="question-folder").set_value(str(tmp_path))
    button(run(page), "Measure").click()
    run(page)
    job = full.workspace.jobs.of("evaluate")[-1]
    while job.active:
        time.sleep(0.1)
    assert "queries.jsonl cannot be read" in text_of(full.page("quality"))


def test_the_question_map_is_shown_and_can_be_removed(full):
    with full.workspace.opened("documents") as collection:
        card = collection.card()
        fingerprint = card.encoder.fingerprint
        identity = encoded(np.eye(card.encoder.dimension, dtype=np.float32))
        kept = QuestionMap(3, fingerprint, "2026-11-27T10:00:00+00:00", {"labels": 40}, *identity)
        collection.write_card(card.with_maps({"dense": (kept,)}))
    page = full.page("index")
    facts = page.get("html")
    assert any("3, learned from 40 questions on 2026-11-27" in str(one.proto) for one in facts)
    button(page, "Remove question map 3").click()
    run(page)
    with full.workspace.opened("documents") as collection:
        assert collection.card().newest_map is None
    assert not [one for one in full.page("index").button if "question map" in one.label]


def test_a_rebuilt_version_is_published_and_rolled_back(full):
    page = full.page("index")
    assert "Version 1 is live." in text_of(page)
    page.checkbox[0].set_value(True)
    button(page, "Re-index").click()
    run(page)
    job = full.workspace.jobs.of("reindex")[-1]
    while job.active:
        time.sleep(0.1)
    assert not job.error, job.error
    page = full.page("index")
    assert "Version 2 is live, version 1 is kept." in text_of(page)
    assert "<article" in text_of(full.page("search", q=QUESTION))
    button(page, "Roll back to version 1").click()
    assert "Version 1 is live, version 2 is kept." in text_of(run(page))


def test_nothing_to_rebuild_shows_a_notice(full):
    page = full.page("index")
    button(page, "Re-index").click()
    run(page)
    job = full.workspace.jobs.of("reindex")[-1]
    while job.active:
        time.sleep(0.1)
    assert "nothing to do" in text_of(full.page("index"))


def test_an_unknown_encoder_is_refused_and_the_page_keeps_its_encoder(full):
    page = full.page("index")
    page.text_input[0].set_value("no/such-model")
    button(page, "Re-index").click()
    run(page)
    job = full.workspace.jobs.of("reindex")[-1]
    while job.active:
        time.sleep(0.1)
    assert "such-model" in text_of(full.page("index"))
    assert "<article" in text_of(full.page("search", q=QUESTION))


def test_the_map_draws_a_question_and_its_hits(full):
    page = full.page("index")
    assert len(page.get("vega_lite_chart")) == 1
    page.text_input(key="map-question").set_value(QUESTION)
    run(page)
    spec = json.loads(page.get("vega_lite_chart")[0].proto.spec)
    assert len(spec["layer"]) == 4


# Busy


def test_a_collection_open_in_another_process_is_shown_as_busy(full):
    script = (
        "import sys, time\n"
        "from twotower.app.settings import load_settings\n"
        "from twotower.app.wiring import Application\n"
        "application = Application(load_settings({}, data_dir=sys.argv[1]))\n"
        "with application.catalog.open('documents'):\n"
        "    print('open', flush=True)\n    sys.stdin.read()\n"
    )
    data_dir = str(full.workspace.settings.data_dir)
    with subprocess.Popen(
        [sys.executable, "-c", script, data_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "open\n"
        for view in VIEWS:
            page = full.page(view, q=QUESTION) if view == "search" else full.page(view)
            if view in ("ask", "quality"):
                continue  # these open the collection when they are used
            assert "The collection is busy" in text_of(page), view
            assert any(one.label == "Try again" for one in page.button)
        ask = full.page("ask")
        ask.chat_input[0].set_value("who do I tell")
        assert "is open in process" in text_of(run(ask))
        other.stdin.close()
    assert "<article" in text_of(full.page("search", q=QUESTION))


@pytest.mark.parametrize(
    ("view", "kind"),
    [("documents", "ingest"), ("quality", "evaluate"), ("quality", "train"), ("index", "reindex")],
)
def test_a_running_job_shows_its_progress_and_can_be_cancelled(full, view, kind):
    begun = threading.Event()

    def work(job):
        job.report("reading *a*.md", 3, 12)
        job.log.append("added: <b>x</b>.md (3 passages)")
        begun.set()
        while not job.should_stop():
            time.sleep(0.01)

    job = full.workspace.jobs.start(kind, "Doing it", work)
    waiting = full.workspace.jobs.start("other", "Next", lambda _job: None)
    assert begun.wait(10)
    page = full.page(view)
    text = text_of(page)
    assert "3 of 12" in text
    assert "added: &lt;b&gt;x" in text
    assert waiting.state == "waiting"
    button(page, "Cancel").click()
    run(page)
    while job.active or waiting.active:
        time.sleep(0.01)
    assert "Cancelled. Finished work is kept" in text_of(full.page(view))
    assert waiting.state == "done"


# Failed


@pytest.mark.parametrize(
    ("view", "kind"),
    [("documents", "ingest"), ("quality", "evaluate"), ("quality", "train"), ("index", "reindex")],
)
def test_a_failed_job_shows_one_line(full, view, kind):
    def work(_job):
        raise ZeroDivisionError("by *zero*")

    job = full.workspace.jobs.start(kind, "Doing it", work)
    while job.active:
        time.sleep(0.01)
    page = full.page(view)
    assert "this is a bug in twotower: ZeroDivisionError: by *zero*" in text_of(page)
    assert "\\*zero\\*" in page.error[0].value
    button(page, "Close").click()
    assert not run(page).error


def test_failed_files_are_listed_with_reasons_until_they_are_ingested(full, tmp_path):
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.4 torn")
    job = ingest(full.workspace, "documents", [broken])
    while job.active:
        time.sleep(0.1)
    page = full.page("documents")
    assert "1 failed" in text_of(page)
    frame = page.dataframe[0].value
    (row,) = frame[frame["State"] == "failed"].to_dict("records")
    assert row["Document"] == "broken.pdf"
    assert "not a readable PDF" in row["Reason"]
    broken.write_bytes((HANDBOOK / "products" / "kestrel-datasheet.pdf").read_bytes())
    page.multiselect(key="chosen").set_value(["broken.pdf"])
    button(run(page), "Ingest again").click()
    run(page)
    job = full.workspace.jobs.of("ingest")[-1]
    while job.active:
        time.sleep(0.1)
    assert "failed" not in set(full.page("documents").dataframe[0].value["State"])


@pytest.mark.parametrize("view", VIEWS)
def test_a_damaged_collection_is_reported_on_every_page(full, view):
    folder = full.workspace.settings.data_dir / "collections" / "documents"
    (folder / "versions.json").write_text("torn")
    page = full.page(view, q=QUESTION) if view == "search" else full.page(view)
    notices = [*page.error, *page.warning]
    assert any("cannot be opened" in one.value.replace("\\", "") for one in notices) or view in (
        "ask",
        "quality",
    )
