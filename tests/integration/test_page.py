"""Every page in every state it can be in, by Streamlit's own test runner over the real index."""

import dataclasses
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from streamlit.testing.v1 import AppTest

from app.background import ingest
from app.failures import Failures
from app.settings import load_settings
from ingest.report import FileOutcome
from retrieval.store.card import IndexCard
from retrieval.types import Chunk, DocumentRecord, Provenance, SparseVector, chunk_id
from tests.conftest import HANDBOOK, RUNTIME, copy_sparse
from tests.scripted_model import Model
from ui import resources

VIEWS = ("search", "ask", "documents", "quality", "index")
QUESTION = "how long is the warranty on seals"


class Visit:
    """A visitor of the page over one data directory."""

    def __init__(self, cache: Path, data_dir: Path, **settings) -> None:
        settings = {"cache_dir": cache, "data_dir": data_dir, "runtime": RUNTIME} | settings
        resources.use(load_settings({}, **settings))
        resources.workspace.clear()

    def page(self, view: str, script: str = "", **query: str) -> AppTest:
        """Run one page; ``query`` is what the address says."""
        call = script or f"from ui.views import {view}\n{view}.show()"
        test = AppTest.from_string(call, default_timeout=60)
        for key, value in query.items():
            test.query_params[key] = value
        return again(test)

    @property
    def workspace(self):
        return resources.workspace()


def again(test: AppTest) -> AppTest:
    """Run a page; nothing that a page meets ends in a traceback."""
    test.run()
    assert not test.exception, test.exception[0].stack_trace
    return test


def seen(test: AppTest) -> str:
    """All that is written on a page."""
    texts = []
    for one in [*test.main, *test.sidebar]:
        texts += [str(getattr(one, name, "")) for name in ("label", "value") if hasattr(one, name)]
    return "\n".join(texts).replace("\\", "")  # Markdown's escapes show nothing


def opened(test: AppTest, view: str) -> None:
    """Open a view of the first hit that has it."""
    shown = {"why": "Why this hit", "around": "Surroundings", "page": "Page 1"}[view]
    more = next(
        one
        for one in test.segmented_control
        if one.label.startswith("More of hit") and shown in one.options
    )
    more.set_value(view)
    again(test)


def button(test: AppTest, label: str):
    return next(one for one in test.button if one.label == label)


@pytest.fixture
def visit(model_cache, tmp_path):
    """Make a visit: over nothing, unless a data directory is given."""
    visits = []

    def make(data_dir: Path | None = None, **settings) -> Visit:
        visits.append(Visit(model_cache.folder, data_dir or tmp_path / "data", **settings))
        return visits[-1]

    yield make
    if visits:
        resources.close()
    resources._chosen.clear()


@pytest.fixture
def full(visit, handbook, tmp_path) -> Visit:
    """Over a copy of the ingested handbook."""
    copy_sparse(handbook.data_dir, tmp_path / "copy")
    return visit(tmp_path / "copy")


# Empty


@pytest.mark.parametrize(
    ("view", "told"),
    [
        ("search", "Nothing to search yet"),
        ("ask", "Nothing to ask yet"),
        ("documents", "No documents yet"),
        ("quality", "Nothing to measure yet"),
        ("index", "No index yet"),
    ],
)
def test_an_empty_index_tells_the_next_step(visit, view, told):
    text = seen(visit().page(view))
    assert told in text
    assert "(/documents)" in text or view == "documents"


def test_the_example_is_one_click_away_and_comes_in(visit):
    page = visit().page("documents")
    button(page, "Try it with the example handbook").click()
    again(page)
    job = resources.workspace().jobs.of("ingest")[-1]
    while job.active:
        time.sleep(0.1)
    text = seen(again(page))
    assert "45 added" in text
    assert "No documents yet" not in text


# Full


@pytest.mark.parametrize("view", VIEWS)
def test_every_page_stands_over_a_real_index(full, view):
    assert "yet" not in seen(full.page(view)).lower().split()


def test_a_search_shows_its_hits_with_their_scores_taken_apart(full):
    page = full.page("search", q=QUESTION)
    text = seen(page)
    assert text.count("<article class='hit'") == 10
    assert "policies/warranty-terms.html" in text
    assert "<mark class='term'>Seals</mark>" in text
    assert "meaning 0." in text
    assert "words 0." in text


def test_the_settings_in_the_address_are_those_of_the_search(full):
    page = full.page("search", q=QUESTION, mode="Words", hits="5", **{"facet-type": "html"})
    assert page.slider(key="hits").value == 5
    assert page.multiselect(key="facet-type").value == ["html"]
    text = seen(page)
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
def test_nonsense_in_the_address_is_left_out(full, query):
    assert "<article class='hit'" in seen(full.page("search", q=QUESTION, **query))


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"filter": "foo"}, "filter 'foo' is malformed"),
        ({"filter": "colour=red"}, "unknown key 'colour'"),
        ({"q": '"zzz qqq xxx"'}, "Nothing found"),
    ],
)
def test_what_cannot_be_searched_is_said_in_a_line(full, query, told):
    assert told in seen(full.page("search", **({"q": QUESTION} | query)))


def test_two_ways_stand_beside_each_other_with_what_moved(full):
    page = full.page("search", q="price of the handle", compare="true", **{"mode-2": "Words"})
    text = seen(page)
    assert text.count("<article class='hit'") > 10
    assert "**B: Words**" in text
    assert "class='moved" in text


def test_a_judgement_is_kept_and_can_be_taken_back(full):
    page = full.page("search", q=QUESTION, label="true")
    verdicts = [one for one in page.segmented_control if "answer the question" in one.label]
    assert len(verdicts) == 10
    verdicts[0].set_value(1)
    again(page)
    labels = full.workspace.labels("documents")
    assert labels.of(QUESTION) == {"policies/warranty-terms.html": 1}
    fresh = full.page("search", q=QUESTION, label="true")
    verdict = next(one for one in fresh.segmented_control if "answer the question" in one.label)
    assert verdict.value == 1
    verdict.set_value(None)
    again(fresh)
    assert labels.of(QUESTION) == {}


def test_what_is_behind_a_hit_is_shown_on_demand(full):
    page = full.page("search", q="energy used, MWh, accidents with lost time")
    assert "cosine" not in seen(page)
    opened(page, "why")
    assert "cosine" in seen(page)
    opened(page, "around")
    assert "class='own'" in seen(page)
    opened(page, "page")
    assert len(page.image) == 1


def test_a_page_whose_file_is_gone_says_so(full):
    with full.workspace.opened("documents") as collection:
        record = next(r for r in collection.documents() if r.source.endswith("report-2024.pdf"))
        collection.write_document(dataclasses.replace(record, root="/nowhere"))
    page = full.page("search", q="energy used, MWh, accidents with lost time")
    opened(page, "page")
    assert "not on this machine any more" in seen(page)


def test_an_answer_without_a_model_is_quoted_and_says_so(full):
    page = full.page("ask")
    assert "No language model is set" in seen(page)
    page.chat_input[0].set_value("security token has gone missing, who do I tell")
    text = seen(again(page))
    assert "<sup>[1]</sup>" in text
    assert "call ext. 250 straight away" in " ".join(text.split())


def test_an_answer_of_a_model_shows_what_is_unsupported_and_runs_nothing(full, handbook, visit):
    said = (
        "If you lose one, call ext. 250 straight away; it is blocked within minutes. [1] The moon "
        "is made of cheese. [2] <img src=http://evil.example/x onerror=alert(1)> "
        "![x](http://evil.example/y) [9]"
    )
    model = Model(said)
    try:
        page = visit(
            full.workspace.settings.data_dir, llm="vllm:scripted", llm_url=f"{model.url}/v1"
        ).page("ask")
        page.chat_input[0].set_value("security token has gone missing, who do I tell")
        text = seen(again(page))
    finally:
        model.close()
    assert "call ext. 250 straight away" in text
    assert "class='unsupported'" in text
    assert "cites [9], which was not given" in text
    assert "<img" not in text
    assert "&lt;img" in text
    assert all("evil" not in markdown.value for markdown in page.markdown)


def test_a_model_that_breaks_off_is_said_and_the_conversation_goes_on(full, visit):
    model = Model("One two three four five six. [1]", breaks="halfway")
    try:
        page = visit(
            full.workspace.settings.data_dir, llm="vllm:scripted", llm_url=f"{model.url}/v1"
        ).page("ask")
        page.chat_input[0].set_value("who do I tell")
        again(page)
        assert "broke off" in seen(page) or "ended" in seen(page)
        model.breaks = ""
        page.chat_input[0].set_value("and where")
        assert "One two three" in seen(again(page))
    finally:
        model.close()


def test_nothing_found_to_answer_with_is_a_state_of_its_own(full):
    page = full.page("ask")
    page.chat_input[0].set_value('"zzz qqq xxx"')
    assert "do not answer this" in seen(again(page))


def test_an_evaluation_of_the_example_is_there_at_once(full):
    page = full.page("quality")
    assert page.selectbox[0].value == "The example handbook"
    page.multiselect[0].set_value(["hybrid", "bm25"])
    button(again(page), "Measure").click()
    again(page)
    job = full.workspace.jobs.of("evaluate")[-1]
    while job.active:
        time.sleep(0.2)
    page = full.page("quality")
    text = seen(page)
    assert "87 questions" in text
    assert list(page.dataframe[0].value["Way to search"]) == ["Hybrid", "Words"]
    assert float(page.dataframe[0].value["nDCG@10"][0]) > 0.8
    assert len(page.get("vega_lite_chart")) == 2


def test_a_set_of_questions_that_is_none_is_refused(full, tmp_path):
    page = full.page("quality")
    page.selectbox[0].set_value("A folder of this machine")
    again(page).text_input(key="question-folder").set_value(str(tmp_path))
    button(again(page), "Measure").click()
    again(page)
    job = full.workspace.jobs.of("evaluate")[-1]
    while job.active:
        time.sleep(0.1)
    assert "queries.jsonl cannot be read" in seen(full.page("quality"))


def test_a_rebuilt_version_goes_live_and_back(full):
    page = full.page("index")
    assert "Version 1 is live." in seen(page)
    page.checkbox[0].set_value(True)
    button(page, "Re-index").click()
    again(page)
    job = full.workspace.jobs.of("reindex")[-1]
    while job.active:
        time.sleep(0.1)
    assert not job.error, job.error
    page = full.page("index")
    assert "Version 2 is live, version 1 is kept." in seen(page)
    assert "<article" in seen(full.page("search", q=QUESTION))
    button(page, "Roll back to version 1").click()
    assert "Version 1 is live, version 2 is kept." in seen(again(page))


def test_nothing_to_rebuild_is_said(full):
    page = full.page("index")
    button(page, "Re-index").click()
    again(page)
    job = full.workspace.jobs.of("reindex")[-1]
    while job.active:
        time.sleep(0.1)
    assert "nothing to do" in seen(full.page("index"))


def test_an_encoder_that_is_not_there_is_said_and_the_page_keeps_its_own(full):
    page = full.page("index")
    page.text_input[0].set_value("no/such-model")
    button(page, "Re-index").click()
    again(page)
    job = full.workspace.jobs.of("reindex")[-1]
    while job.active:
        time.sleep(0.1)
    assert "such-model" in seen(full.page("index"))
    assert "<article" in seen(full.page("search", q=QUESTION))


def test_the_map_draws_a_question_and_its_hits(full):
    page = full.page("index")
    assert len(page.get("vega_lite_chart")) == 1
    page.text_input(key="map-question").set_value(QUESTION)
    again(page)
    spec = json.loads(page.get("vega_lite_chart")[0].proto.spec)
    assert len(spec["layer"]) == 4


# Busy


def test_a_collection_that_another_process_holds_is_said_to_be_busy(full):
    script = (
        "import sys, time\n"
        "from app.settings import load_settings\nfrom app.wiring import Application\n"
        "application = Application(load_settings({}, data_dir=sys.argv[1]))\n"
        "with application.catalog.open('documents'):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    data_dir = str(full.workspace.settings.data_dir)
    with subprocess.Popen(
        [sys.executable, "-c", script, data_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        for view in VIEWS:
            page = full.page(view, q=QUESTION) if view == "search" else full.page(view)
            if view in ("ask", "quality"):
                continue  # they open the collection when they are used
            assert "The collection is busy" in seen(page), view
            assert any(one.label == "Try again" for one in page.button)
        ask = full.page("ask")
        ask.chat_input[0].set_value("who do I tell")
        assert "is open in process" in seen(again(ask))
        other.stdin.close()
    assert "<article" in seen(full.page("search", q=QUESTION))


@pytest.mark.parametrize(
    ("view", "kind"), [("documents", "ingest"), ("quality", "evaluate"), ("index", "reindex")]
)
def test_a_job_that_runs_is_shown_with_how_far_it_is_and_can_be_cancelled(full, view, kind):
    begun = threading.Event()

    def work(job):
        job.told("reading *a*.md", 3, 12)
        job.seen.append("added: <b>x</b>.md (3 passages)")
        begun.set()
        while not job.stopped():
            time.sleep(0.01)

    job = full.workspace.jobs.start(kind, "Doing it", work)
    waiting = full.workspace.jobs.start("other", "Next", lambda _job: None)
    assert begun.wait(10)
    page = full.page(view)
    text = seen(page)
    assert "3 of 12" in text
    assert "added: &lt;b&gt;x" in text
    assert waiting.state == "waiting"
    button(page, "Cancel").click()
    again(page)
    while job.active or waiting.active:
        time.sleep(0.01)
    assert "Cancelled; what was done is kept" in seen(full.page(view))
    assert waiting.state == "done"


# Failed


@pytest.mark.parametrize(
    ("view", "kind"), [("documents", "ingest"), ("quality", "evaluate"), ("index", "reindex")]
)
def test_a_job_that_failed_says_why_in_a_line(full, view, kind):
    def work(_job):
        raise ZeroDivisionError("by *zero*")

    job = full.workspace.jobs.start(kind, "Doing it", work)
    while job.active:
        time.sleep(0.01)
    page = full.page(view)
    assert "this is a bug in twotower: ZeroDivisionError: by *zero*" in seen(page)
    assert "\\*zero\\*" in page.error[0].value
    button(page, "Close").click()
    assert not again(page).error


def test_files_that_failed_are_listed_with_their_reasons_until_they_are_in(full, tmp_path):
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.4 torn")
    job = ingest(full.workspace, "documents", [broken])
    while job.active:
        time.sleep(0.1)
    page = full.page("documents")
    assert "1 failed" in seen(page)
    frame = page.dataframe[0].value
    (row,) = frame[frame["State"] == "failed"].to_dict("records")
    assert row["Document"] == "broken.pdf"
    assert "not a readable PDF" in row["Reason"]
    broken.write_bytes((HANDBOOK / "products" / "kestrel-datasheet.pdf").read_bytes())
    page.multiselect(key="chosen").set_value(["broken.pdf"])
    button(again(page), "Ingest again").click()
    again(page)
    job = full.workspace.jobs.of("ingest")[-1]
    while job.active:
        time.sleep(0.1)
    assert "failed" not in set(full.page("documents").dataframe[0].value["State"])


@pytest.mark.parametrize("view", VIEWS)
def test_a_damaged_collection_is_said_on_every_page(full, view):
    folder = full.workspace.settings.data_dir / "collections" / "documents"
    (folder / "versions.json").write_text("torn")
    page = full.page(view, q=QUESTION) if view == "search" else full.page(view)
    told = [*page.error, *page.warning]
    assert any("cannot be opened" in one.value.replace("\\", "") for one in told) or view in (
        "ask",
        "quality",
    )


def test_another_encoder_in_the_settings_is_said_before_it_searches(full, visit, tmp_path, model):
    import shutil

    other = tmp_path / "other-model"
    shutil.copytree(model.path, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"note": 1}))
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["truncation"] = {
        "max_length": 64,
        "stride": 0,
        "strategy": "LongestFirst",
        "direction": "Right",
    }
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    changed = visit(full.workspace.settings.data_dir, encoder=str(other))
    assert "searches by meaning are refused" in seen(changed.page("index"))
    text = seen(changed.page("search", q=QUESTION))
    assert "The collection was built otherwise" in text


# Thousands


@pytest.fixture(scope="module")
def thousands(model, model_cache, tmp_path_factory) -> Path:
    """5,000 documents of one passage each."""
    data_dir = tmp_path_factory.mktemp("thousands")
    from app.ingestion import chunk_settings
    from app.wiring import Application
    from retrieval.lexical import Bm25Settings
    from retrieval.store.card import EncoderCard

    application = Application(
        load_settings({}, data_dir=data_dir, cache_dir=model_cache.folder, runtime=RUNTIME)
    )
    card = IndexCard(
        EncoderCard.of(model, 384), Bm25Settings(), chunk_settings(application).to_card()
    )
    rows = np.random.default_rng(7).normal(size=(5000, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with application.catalog.create("documents", card) as collection:
        for start in range(0, 5000, 500):
            chunks = [_passage(number) for number in range(start, start + 500)]
            sparse = [SparseVector((n, 7_000_000 + n), (1.0, 1.0)) for n in range(500)]
            collection.write_chunks(chunks, rows[start : start + 500], sparse)
            for chunk in chunks:
                source = chunk.provenance.source
                collection.write_document(
                    DocumentRecord(
                        source,
                        "/gone",
                        "A title",
                        "0" * 64,
                        9,
                        1,
                        None,
                        "2026-01-01T00:00:00+00:00",
                    )
                )
    return data_dir


def _passage(number: int) -> Chunk:
    source = f"folder-{number % 300}/document-{number}.md"
    text = f"The passage of document {number}."
    return Chunk(
        chunk_id(source, text, 0),
        text,
        "",
        0,
        Provenance(
            source, "A title", (), None, None, 0, len(text), modified="2026-01-01T00:00:00Z"
        ),
    )


@pytest.mark.parametrize("view", VIEWS)
def test_thousands_of_documents_are_shown_without_delay(visit, thousands, view):
    visitor = visit(thousands)
    visitor.page(view)
    started = time.monotonic()
    page = visitor.page(view)
    assert time.monotonic() - started < 5
    if view == "documents":
        assert len(page.dataframe[0].value) == 5000
        page.text_input(key="find").set_value("document-4321")
        assert len(again(page).dataframe[0].value) == 1


# Hostile documents


HOSTILE = "<script>document.title='x'</script> ![i](http://evil.example/a.png) $x$ :red[r] <b>b</b>"


def active_in(text: str) -> set[str]:
    """What Markdown makes of a text, besides text."""
    tokens = MarkdownIt("commonmark").parse(text)
    return {child.type for token in tokens for child in [token, *(token.children or ())]}


def test_the_text_of_a_document_is_text_wherever_it_is_shown(visit, tmp_path):
    folder = tmp_path / "in <b>folder"
    folder.mkdir()
    name = "![n](http:evil) <i>n.md"
    (folder / name).write_text(
        f'---\ntitle: "{HOSTILE.replace(chr(34), "")}"\n"<u>key</u>": "{HOSTILE}"\n---\n'
        f"# {HOSTILE}\n\nA pump is described here. {HOSTILE}\n"
    )
    (folder / "other.md").write_text('---\n"<u>key</u>": plain\n---\n# Other\n\nAnother pump.\n')
    visitor = visit()
    job = ingest(visitor.workspace, "documents", [folder])
    while job.active:
        time.sleep(0.1)
    assert not job.error
    Failures(visitor.workspace.settings.data_dir, "documents").record(
        [(FileOutcome(HOSTILE, "failed", reason=HOSTILE), None)], "2026-01-01T00:00:00+00:00"
    )
    pages = [visitor.page("search", q="pump"), visitor.page("documents"), visitor.page("index")]
    for more in ("why", "around"):
        opened(pages[0], more)
    pages[1].multiselect(key="chosen").set_value([HOSTILE])
    again(pages[1])
    ask = visitor.page("ask")
    ask.chat_input[0].set_value("what is described here?")
    pages.append(again(ask))
    shown = 0
    for page in pages:
        for html in page.get("html"):
            body = html.proto.body
            shown += "evil" in body
            for tag in ("<script", "<img", "<b>", "<i>", "<u>"):
                assert tag not in body
        for kind in ("markdown", "caption", "error", "warning", "info", "success"):
            for one in getattr(page, kind):
                assert active_in(one.value) & {"image", "html_inline", "html_block"} == set()
                assert "http" not in one.value or "link_open" not in active_in(one.value)
                assert ":red[" not in one.value
                assert "$x$" not in one.value
        for kind in ("button", "multiselect", "segmented_control", "text_input"):
            assert all("](http" not in one.label for one in getattr(page, kind))
    assert shown >= 3


def test_a_folder_that_is_not_there_is_said_beside_the_rest_of_the_page(full):
    page = full.page("documents")
    page.text_input(key="folder").set_value("/no/such/folder")
    button(page, "Ingest the folder").click()
    assert "/no/such/folder: no such file or folder" in seen(again(page))
    assert len(page.dataframe) == 1


@pytest.mark.parametrize(
    ("allowed", "asked", "told"),
    [
        ("inside", "inside/deeper", None),
        ("inside", "inside/../outside", "only folders below"),
        ("inside", "link", "only folders below"),
        (None, "inside", "reads no folders of this one"),
    ],
)
def test_a_page_for_others_reads_only_the_folder_it_may(visit, tmp_path, allowed, asked, told):
    (tmp_path / "inside" / "deeper").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    visitor = visit(
        ui_host="0.0.0.0",
        ui_password="x",
        ui_folder=tmp_path / allowed if allowed else None,
    )
    page = visitor.page("documents")
    page.text_input(key="folder").set_value(f"{tmp_path}/{asked}")
    button(page, "Ingest the folder").click()
    text = seen(again(page))
    if told:
        assert told in text
        assert visitor.workspace.jobs.of("ingest") == []
    else:
        assert visitor.workspace.jobs.of("ingest") != []
