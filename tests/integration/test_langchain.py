"""LangChain's own standard suites, and what they do not ask."""

import asyncio
import runpy
import sys

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.load import dumps, loads
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    ToolsIntegrationTests,
)

from tests.conftest import RUNTIME, copy_sparse
from twotower.app.langchain import TwoTowerDocumentCompressor, TwoTowerEmbeddings, TwoTowerRetriever
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.retrieval.vocabulary.errors import ConfigurationError, InUse
from twotower.retrieval.vocabulary.filters import parse_filters

QUESTION = "who do I tell that my security token has gone missing"


@pytest.fixture(scope="module")
def settings(handbook, model_cache, tmp_path_factory):
    """Of a copy: one of the tests holds the other."""
    copy = tmp_path_factory.mktemp("langchain") / "data"
    copy_sparse(handbook.data_dir, copy)
    return {
        "data_dir": str(copy),
        "cache_dir": str(model_cache.folder),
        "runtime": RUNTIME,
    }


@pytest.fixture(scope="module")
def ready(application):
    """A ready retriever, for suites that construct several."""
    with application.catalog.open("documents") as collection:
        yield application.retriever(collection)


class TestTwoTowerRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _ready(self, ready):
        self.ready = ready

    @property
    def retriever_constructor(self):
        return TwoTowerRetriever

    @property
    def retriever_constructor_params(self):
        return {"retriever": self.ready}

    @property
    def retriever_query_example(self):
        return QUESTION


class TestTwoTowerEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return TwoTowerEmbeddings


class TestTwoTowerTool(ToolsIntegrationTests):
    @pytest.fixture(autouse=True)
    def _ready(self, ready):
        self.ready = ready

    @property
    def tool_constructor(self):
        return TwoTowerRetriever(retriever=self.ready, k=3).as_tool()

    @property
    def tool_invoke_params_example(self):
        return {"query": QUESTION}


def test_documents_carry_what_a_citation_needs(ready):
    found = TwoTowerRetriever(retriever=ready, k=3).invoke(QUESTION)
    hits = ready.retrieve(QUESTION).hits[:3]
    assert [document.id for document in found] == [str(hit.chunk.id) for hit in hits]
    first, hit = found[0], hits[0]
    assert first.page_content == hit.chunk.text
    assert first.metadata["source"] == "it/accounts-and-passwords.html"
    assert first.metadata["headings"] == list(hit.chunk.provenance.headings)
    assert first.metadata["score"] == pytest.approx(hit.score)
    assert first.metadata["legs"]["dense"]["rank"] == hit.legs["dense"].rank
    assert first.metadata["answerable"] == "unknown"
    paged = TwoTowerRetriever(retriever=ready, k=1, filter="type=pdf").invoke("impeller")
    assert paged[0].metadata["page"] >= 1
    assert f"page {paged[0].metadata['page']}" in paged[0].metadata["citation"]


def test_every_option_is_a_field_and_an_argument_of_a_call_sync_and_async(ready):
    plain = TwoTowerRetriever(retriever=ready)
    for options in (
        {"k": 2},
        {"k": 5, "mode": "bm25"},
        {"k": 5, "fusion": "rrf"},
        {"k": 5, "per_document": 1},
        {"k": 3, "rerank": "late-interaction"},
        {"k": 3, "filter": ["type=pdf", "page>=2"]},
        {"k": 3, "filter": parse_filters(["folder=it"])},
        {"k": 2, "expand": 1},
    ):
        as_fields = TwoTowerRetriever(retriever=ready, **options).invoke(QUESTION)
        as_arguments = plain.invoke(QUESTION, **options)
        later = asyncio.run(plain.ainvoke(QUESTION, **options))
        assert as_fields == as_arguments == later
        assert 0 < len(as_fields) <= options["k"]
    wide = plain.invoke(QUESTION, k=1, expand=1)[0].page_content
    assert plain.invoke(QUESTION, k=1)[0].page_content in wide
    assert len(plain.invoke(QUESTION)) == ready.options.limit
    with pytest.raises(TypeError, match=r"unknown options \['top_k'\]"):
        plain.invoke(QUESTION, top_k=3)
    with pytest.raises(ConfigurationError, match="unknown key 'colour'"):
        plain.invoke(QUESTION, filter="colour=red")
    with pytest.raises(ConfigurationError, match="question is empty"):
        asyncio.run(plain.ainvoke("  "))


def test_it_is_a_runnable_like_any_other(ready):
    class Heard(BaseCallbackHandler):
        def __init__(self):
            self.events = []

        def on_retriever_start(self, serialized, query, *, tags=None, metadata=None, **_):
            self.events.append((query, tags, metadata["ls_vector_store_provider"]))

        def on_retriever_end(self, documents, **_):
            self.events.append(len(documents))

        def on_retriever_error(self, error, **_):
            self.events.append(type(error).__name__)

    retriever = TwoTowerRetriever(retriever=ready, k=2, tags=["mine"])
    heard = Heard()
    configured = retriever.with_config(callbacks=[heard], run_name="search")
    batch = configured.batch([QUESTION, "impeller"])
    assert [len(found) for found in batch] == [2, 2]
    assert batch == asyncio.run(retriever.abatch([QUESTION, "impeller"]))
    assert sorted(event for event in heard.events if isinstance(event, int)) == [2, 2]
    assert (QUESTION, ["mine"], "qdrant") in heard.events
    with pytest.raises(ConfigurationError):
        configured.invoke(" ")
    assert heard.events[-1] == "ConfigurationError"
    assert retriever._get_ls_params()["ls_embedding_model"] == "all-MiniLM-L6-v2"


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_it_opens_the_collection_by_name_or_settings_and_lets_go(settings):
    retriever = TwoTowerRetriever(collection="documents", settings=settings, k=1)
    found = retriever.invoke(QUESTION)
    assert found[0].metadata["source"] == "it/accounts-and-passwords.html"
    with pytest.raises(InUse):
        Application(load_settings({}, **settings)).catalog.open("documents")
    copy = loads(
        dumps(retriever), valid_namespaces=["twotower"], allowed_objects=[TwoTowerRetriever]
    )
    retriever.close()
    assert copy.settings == settings
    assert copy.invoke(QUESTION) == found
    copy.close()
    with pytest.raises(ConfigurationError, match="'nope' does not exist"):
        TwoTowerRetriever(collection="nope", settings=settings).invoke(QUESTION)


def test_the_tool_shows_source_and_page(ready):
    tool = TwoTowerRetriever(retriever=ready, k=2, filter=["type=pdf"]).as_tool(name="mine")
    assert tool.name == "mine"
    shown = tool.invoke({"query": "impeller clearance"})
    assert shown.startswith("[")
    assert ".pdf, page " in shown


def test_the_two_towers_have_their_own_prompts(settings):
    plain = TwoTowerEmbeddings(settings=settings)
    asked = TwoTowerEmbeddings(
        settings=settings | {"question_prompt": "query: ", "runtime": "torch"}
    )
    assert plain.embed_query("pump") != asked.embed_query("pump")
    one, other = plain.embed_documents(["pump"])[0], asked.embed_documents(["pump"])[0]
    assert sum(a * b for a, b in zip(one, other, strict=True)) == pytest.approx(1, abs=1e-3)
    assert plain.embed_documents([]) == []


def test_the_compressor_orders_and_cuts(settings):
    documents = [
        Document("The canteen serves soup on Fridays.", metadata={"source": "a"}),
        Document("Lost security tokens are reported to the help desk.", metadata={"source": "b"}),
        Document("Bolts are tightened to 52 Nm.", metadata={"source": "c"}),
    ]
    compressor = TwoTowerDocumentCompressor(settings=settings, top_n=2)
    found = compressor.compress_documents(documents, "my security token is lost")
    assert found[0].metadata["source"] == "b"
    assert len(found) == 2
    assert found[0].metadata["rerank_score"] >= found[1].metadata["rerank_score"]
    assert "rerank_score" not in documents[0].metadata
    assert compressor.compress_documents([], "x") == []
    later = asyncio.run(compressor.acompress_documents(documents, "my security token is lost"))
    assert later == found


def test_the_example_runs_offline(settings, monkeypatch, capsys):
    for name, value in settings.items():
        monkeypatch.setenv(f"TWOTOWER_{name.upper()}", value)
    monkeypatch.setattr(sys, "argv", ["langchain_rag.py", QUESTION])
    runpy.run_path("examples/langchain_rag.py", run_name="__main__")
    printed = capsys.readouterr().out
    assert "[1]" in printed
    assert "it/accounts-and-passwords.html" in printed
