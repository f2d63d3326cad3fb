"""A leg takes one module and one registry line: ingest, search, explain, re-index and copy it."""

import numpy as np
import pytest

from tests.conftest import HANDBOOK
from tests.toy_leg import WordsLeg
from twotower.app.services import copies, versions
from twotower.app.services.ingestion import Ingestion
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.retrieval.legs import LEGS
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.vocabulary.errors import ConfigurationError

QUESTION = "how do I report a lost security token"
THREE = ("dense", "bm25", "words")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(LEGS, "words", WordsLeg)


def made(tmp_path, model_cache, **settings) -> Application:
    chosen = {"data_dir": tmp_path / "data", "cache_dir": model_cache.folder}
    return Application(load_settings({}, **chosen | settings))


def ingest(application: Application) -> None:
    with Ingestion(application, [HANDBOOK / "it"], "documents") as ingestion:
        assert {outcome.status for outcome in ingestion.run()} == {"added"}


def test_a_new_collection_is_ingested_and_searched_with_three_legs(tmp_path, model_cache):
    application = made(tmp_path, model_cache, legs=THREE)
    ingest(application)
    with application.catalog.open("documents") as collection:
        assert tuple(leg.name for leg in collection.card().legs) == THREE
        retriever = application.retriever(collection)
        hits = retriever.retrieve(QUESTION, explain=True).hits
        for hit in hits:
            assert tuple(hit.legs) == THREE
            parts = hit.explanation.parts
            assert tuple(parts) == THREE
            assert hit.fused == pytest.approx(sum(w * score for w, score in parts.values()))
        alone = retriever.retrieve(QUESTION, SearchOptions(mode="words")).hits
        assert alone[0].score == alone[0].legs["words"].score
        assert alone[0].legs["dense"] is None
        heavy = retriever.retrieve(QUESTION, SearchOptions(weights={"words": 1.0})).hits
        assert [hit.chunk.id for hit in heavy[:3]] == [hit.chunk.id for hit in alone[:3]]


def test_reindexing_adds_the_leg_from_the_stored_text_and_copies_keep_it(tmp_path, model_cache):
    application = made(tmp_path, model_cache)
    ingest(application)
    with application.catalog.open("documents") as collection:
        (before,) = collection.vectors("dense", collection.some_ids(1)).values()
        with pytest.raises(ConfigurationError, match="has no leg 'words'"):
            application.retriever(collection).retrieve(QUESTION, SearchOptions(mode="words"))
    three = made(tmp_path, model_cache, legs=THREE)
    built = versions.reindex(three, "documents", lambda *_: None)
    assert built.finished
    with application.catalog.open("documents") as collection:
        ids = collection.some_ids(20)
        texts = [chunk.encoded_text for chunk in collection.chunks(ids)]
        stored = collection.vectors("words", ids)
        expected = WordsLeg.create("words", None, ()).encode_passages(texts)
        np.testing.assert_allclose(np.stack([stored[id] for id in ids]), expected, atol=1e-6)
        (after,) = collection.vectors("dense", ids[:1]).values()
        np.testing.assert_array_equal(before, after)  # copied, not encoded again
    copies.backup(application, "documents", tmp_path / "saved", lambda *_: None)
    copies.restore(application, tmp_path / "saved", "again", lambda *_: None)
    with application.catalog.open("again") as restored:
        assert tuple(leg.name for leg in restored.card().legs) == THREE
        assert application.retriever(restored).retrieve(QUESTION).hits[0].legs["words"]


def test_a_collection_with_an_unknown_leg_says_so(tmp_path, model_cache, monkeypatch):
    application = made(tmp_path, model_cache, legs=THREE)
    ingest(application)
    monkeypatch.delitem(LEGS, "words")
    with (
        application.catalog.open("documents") as collection,
        pytest.raises(ConfigurationError, match="leg 'words' is unknown to this version"),
    ):
        application.retriever(collection)
