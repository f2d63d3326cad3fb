"""Pages with many documents, with hostile documents, and with folders and encoders of users."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from tests.conftest import HANDBOOK, RUNTIME
from tests.integration.page.conftest import QUESTION, VIEWS, button, open_view, run, text_of
from twotower.app.services.background import ingest
from twotower.app.services.failures import Failures
from twotower.app.services.ingestion import chunk_settings
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.ingest.report import FileOutcome
from twotower.retrieval.index.card import EncoderCard, IndexCard, bm25_leg, dense_leg
from twotower.retrieval.models.bm25 import Bm25Settings
from twotower.retrieval.vocabulary.documents import Chunk, DocumentRecord, Provenance, chunk_id
from twotower.retrieval.vocabulary.vectors import SparseVector
from twotower.ui import resources

# Thousands


@pytest.fixture(scope="module")
def thousands(model, model_cache, tmp_path_factory) -> Path:
    """2,500 documents of one passage: more than a store reads at once, and than a map shows."""
    data_dir = tmp_path_factory.mktemp("thousands")
    application = Application(
        load_settings({}, data_dir=data_dir, cache_dir=model_cache.folder, runtime=RUNTIME)
    )
    legs = (dense_leg(EncoderCard.of(model, 384)), bm25_leg(Bm25Settings()))
    card = IndexCard(legs, chunk_settings(application.settings, model).to_card())
    rows = np.random.default_rng(7).normal(size=(2500, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with application.catalog.create("documents", card) as collection:
        for start in range(0, 2500, 500):
            chunks = [_passage(number) for number in range(start, start + 500)]
            sparse = [SparseVector((n, 7_000_000 + n), (1.0, 1.0)) for n in range(500)]
            collection.write_chunks(chunks, {"dense": rows[start : start + 500], "bm25": sparse})
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
def test_thousands_of_documents_are_shown(visit, thousands, view):
    page = visit(thousands).page(view)
    if view == "documents":
        assert len(page.dataframe[0].value) == 2500
        page.text_input(key="find").set_value("document-2321")
        assert len(run(page).dataframe[0].value) == 1


# Hostile documents


HOSTILE = "<script>document.title='x'</script> ![i](http://evil.example/a.png) $x$ :red[r] <b>b</b>"


def markdown_of(text: str) -> set[str]:
    """Types of the Markdown tokens in a text."""
    tokens = MarkdownIt("commonmark").parse(text)
    return {child.type for token in tokens for child in [token, *(token.children or ())]}


def test_markup_in_a_document_is_shown_as_text_everywhere(visit, tmp_path):
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
    for view in ("why", "around"):
        open_view(pages[0], view)
    pages[1].multiselect(key="chosen").set_value([HOSTILE])
    run(pages[1])
    ask = visitor.page("ask")
    ask.chat_input[0].set_value("what is described here?")
    pages.append(run(ask))
    shown = 0
    for page in pages:
        for html in page.get("html"):
            body = html.proto.body
            shown += "evil" in body
            for tag in ("<script", "<img", "<b>", "<i>", "<u>"):
                assert tag not in body
        for kind in ("markdown", "caption", "error", "warning", "info", "success"):
            for one in getattr(page, kind):
                assert markdown_of(one.value) & {"image", "html_inline", "html_block"} == set()
                assert "http" not in one.value or "link_open" not in markdown_of(one.value)
                assert ":red[" not in one.value
                assert "$x$" not in one.value
        for kind in ("button", "multiselect", "segmented_control", "text_input"):
            assert all("](http" not in one.label for one in getattr(page, kind))
    assert shown >= 3


# Folders and encoders


def test_a_missing_folder_is_reported_beside_the_rest_of_the_page(full):
    page = full.page("documents")
    page.text_input(key="folder").set_value("/no/such/folder")
    button(page, "Ingest the folder").click()
    assert "/no/such/folder: no such file or folder" in text_of(run(page))
    assert len(page.dataframe) == 1


@pytest.mark.parametrize(
    ("allowed", "folder", "refusal"),
    [
        ("inside", "inside/deeper", None),
        ("inside", "inside/../outside", "only folders below"),
        ("inside", "link", "only folders below"),
        (None, "inside", "reads no folders of this machine"),
    ],
)
def test_a_page_open_to_others_reads_only_its_folder(visit, tmp_path, allowed, folder, refusal):
    (tmp_path / "inside" / "deeper").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    visitor = visit(
        ui_host="0.0.0.0",
        ui_password="x",
        ui_folder=tmp_path / allowed if allowed else None,
    )
    page = visitor.page("documents")
    page.text_input(key="folder").set_value(f"{tmp_path}/{folder}")
    button(page, "Ingest the folder").click()
    text = text_of(run(page))
    if refusal:
        assert refusal in text
        assert visitor.workspace.jobs.of("ingest") == []
    else:
        assert visitor.workspace.jobs.of("ingest") != []


def test_an_encoder_that_changed_since_ingestion_is_reported(visit, tmp_path, model):
    encoder = tmp_path / "encoder"
    shutil.copytree(model.path, encoder)
    visitor = visit(encoder=str(encoder))
    job = ingest(visitor.workspace, "documents", [HANDBOOK / "it"])
    while job.active:
        time.sleep(0.1)
    assert not job.error
    assert "is on this machine" in text_of(visitor.page("index"))
    tokenizer = json.loads((encoder / "tokenizer.json").read_text())
    tokenizer["truncation"] = {
        "max_length": 64,
        "stride": 0,
        "strategy": "LongestFirst",
        "direction": "Right",
    }
    (encoder / "tokenizer.json").write_text(json.dumps(tokenizer))
    resources.close()
    changed = visit(encoder=str(encoder))
    assert "is a different one" in text_of(changed.page("index"))
    text = text_of(changed.page("search", q=QUESTION))
    assert "The collection was built with different settings" in text
