"""The legs beside `dense` and `bm25`: each is ingested, searched, explained, copied and checked."""

import numpy as np
import pytest

from tests.conftest import HANDBOOK
from tests.tiny_models import tiny_encoder
from twotower.app.services import copies, versions
from twotower.app.services.ingestion import Ingestion
from twotower.app.services.repair import deep_check
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.retrieval.legs import open_legs
from twotower.retrieval.legs.views import views_of
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.vocabulary.errors import ConfigurationError, IndexMismatch
from twotower.retrieval.vocabulary.vectors import SparseVector
from twotower.training import towers
from twotower.training.recipe import read_recipe

QUESTION = "how do I report a lost security token"
ADDED = ("views", "colbert", "splade")
ALL = ("dense", "bm25", *ADDED)


@pytest.fixture(scope="module")
def networks(model, tmp_path_factory):
    """Folders of a ColBERT and a SPLADE model, with random weights."""
    folder = tmp_path_factory.mktemp("networks")
    base = tiny_encoder(folder, model.path).path
    found = {}
    for name in ("colbert", "splade"):
        found[name] = folder / name
        towers.save(towers.build(read_recipe(name).model, base), found[name], base)
    return found


@pytest.fixture(scope="module")
def settings(model_cache, networks):
    def made(data_dir, **chosen) -> Application:
        given = {"cache_dir": model_cache.folder, "data_dir": data_dir}
        given |= {leg: str(folder) for leg, folder in networks.items()}
        return Application(load_settings({}, **{**given, **chosen}))

    return made


@pytest.fixture(scope="module")
def application(settings, tmp_path_factory):
    made = settings(tmp_path_factory.mktemp("legs") / "data", legs=ALL)
    with Ingestion(made, [HANDBOOK / "it"], "documents") as ingestion:
        assert {outcome.status for outcome in ingestion.run()} == {"added"}
    return made


@pytest.mark.parametrize("leg", ADDED)
def test_a_leg_alone_ranks_every_passage_by_its_own_scores(application, leg):
    with application.catalog.open("documents") as collection:
        retriever = application.retriever(collection, limit=5)
        hits = retriever.retrieve(QUESTION, SearchOptions(mode=leg, limit=5)).hits
        assert len(hits) == 5
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        ids = [chunk.id for chunk in collection.all_chunks()]
        stored = collection.vectors(leg, ids)
        (query,) = open_legs(collection.card(), application.models)[leg].encode_questions(
            [QUESTION], collection
        )
        scores = dict(zip(ids, by_hand(query.vector, [stored[id] for id in ids]), strict=True))
        best = sorted(scores.values(), reverse=True)[:5]
        assert [hit.score for hit in hits] == pytest.approx(best, rel=1e-4)
        assert [scores[hit.chunk.id] for hit in hits] == pytest.approx(best, rel=1e-4)


def by_hand(query, passages) -> list[float]:
    """MaxSim of multi-vectors, dot product of weights."""
    if isinstance(query, SparseVector):
        return [
            sum(query.weight(term) * value for term, value in zip(p.indices, p.values, strict=True))
            for p in passages
        ]
    return [float(sum(max(row @ other for other in rows) for row in query)) for rows in passages]


def test_hybrid_search_adds_all_legs_and_explains_them(application):
    with application.catalog.open("documents") as collection:
        result = application.retriever(collection).retrieve(QUESTION, explain=True)
        for hit in result.hits:
            parts = hit.explanation.parts
            assert tuple(parts) == ALL
            assert hit.fused == pytest.approx(sum(w * score for w, score in parts.values()))
        expanded = application.retriever(collection, feedback=3).retrieve(QUESTION)
        assert expanded.hits


def test_the_vectors_of_a_collection_are_those_of_its_models(application):
    with application.catalog.open("documents") as collection:
        chunks = list(collection.chunks(collection.some_ids(3)))
        ids, texts = [c.id for c in chunks], [c.encoded_text for c in chunks]
        colbert = application.models.leg_encoder("colbert").encode_passages(texts)
        splade = application.models.leg_encoder("splade").encode_passages(texts)
        views = application.encoder().encode_passages(views_of(texts[0]))
        stored = {leg: collection.vectors(leg, ids) for leg in ADDED}
        for id, rows, weights in zip(ids, colbert, splade, strict=True):
            np.testing.assert_allclose(stored["colbert"][id], rows, atol=0.02)
            found = stored["splade"][id]
            assert isinstance(found, SparseVector)
            assert dict(zip(found.indices, found.values, strict=True)) == pytest.approx(
                dict(zip(weights.indices, weights.values, strict=True)), abs=0.05
            )
        np.testing.assert_allclose(stored["views"][ids[0]], views, atol=0.02)


def test_copies_keep_the_legs_and_the_doctor_finds_nothing(application, tmp_path):
    copies.backup(application, "documents", tmp_path / "saved", lambda *_: None)
    copies.restore(application, tmp_path / "saved", "again", lambda *_: None)
    with application.catalog.open("again") as restored:
        assert tuple(leg.name for leg in restored.card().legs) == ALL
        hits = application.retriever(restored).retrieve(QUESTION).hits
    with application.catalog.open("documents") as collection:
        before = application.retriever(collection).retrieve(QUESTION).hits
    assert [hit.chunk.id for hit in hits] == [hit.chunk.id for hit in before]
    assert deep_check(application, "documents") == []


def test_the_leg_short_finds_what_dense_finds_and_takes_its_place(settings, tmp_path):
    plain = settings(tmp_path / "data")
    with Ingestion(plain, [HANDBOOK / "it"], "documents") as ingestion:
        assert {outcome.status for outcome in ingestion.run()} == {"added"}
    three = settings(tmp_path / "data", legs=("dense", "bm25", "short"))
    assert versions.reindex(three, "documents", lambda *_: None).finished
    with three.catalog.open("documents") as collection:
        assert collection.card().leg("short").dimension == 96
        retriever = three.retriever(collection)
        dense = retriever.retrieve(QUESTION, SearchOptions(mode="dense")).hits
        short = retriever.retrieve(QUESTION, SearchOptions(mode="short")).hits
        assert [hit.chunk.id for hit in short] == [hit.chunk.id for hit in dense]
        assert [h.score for h in short] == pytest.approx([h.score for h in dense], abs=1e-6)
        hybrid = retriever.retrieve(QUESTION, explain=True)
        assert tuple(hybrid.hits[0].explanation.parts) == ("bm25", "short")
        assert tuple(hybrid.hits[0].legs) == ("bm25", "short")
        assert tuple(dense[0].legs) == ("dense", "bm25", "short")
        assert hybrid.hits[0].explanation.background != (0.0, 1.0)
        assert set(hybrid.judgement.features) >= {"cosine", "standing_out", "coverage"}
        again = retriever.retrieve(QUESTION, SearchOptions(feedback=2)).hits
        assert again
    eight = settings(tmp_path / "data", legs=("dense", "bm25", "short"), prefix_dimension=8)
    assert versions.reindex(eight, "documents", lambda *_: None).finished
    with eight.catalog.open("documents") as collection:
        assert collection.card().leg("short").dimension == 8


def test_a_new_leg_is_made_by_the_encoder_of_the_collection(settings, model, tmp_path):
    tiny = tiny_encoder(tmp_path, model.path).path
    own = settings(tmp_path / "data", encoder=str(tiny), runtime="torch")
    with Ingestion(own, [HANDBOOK / "it"], "documents") as ingestion:
        assert {outcome.status for outcome in ingestion.run()} == {"added"}
    other = settings(tmp_path / "data", legs=("dense", "bm25", "short"), runtime="torch")
    assert versions.reindex(other, "documents", lambda *_: None).finished
    with other.catalog.open("documents") as collection:
        dense, _, short = collection.card().legs
        assert short.dimension == dense.dimension // 4 == 8
        assert short.made_by["fingerprint"] == dense.fingerprint
    assert versions.reindex(other, "documents", lambda *_: None) is None  # nothing differs


def test_a_leg_without_its_model_says_what_to_set(settings, application, tmp_path, networks):
    none = settings(tmp_path / "data", legs=("dense", "bm25", "colbert"), colbert="")
    with (
        pytest.raises(ConfigurationError, match="TWOTOWER_COLBERT is not set: train one with"),
        Ingestion(none, [HANDBOOK / "it"], "documents") as ingestion,
    ):
        list(ingestion.run())
    moved = settings(application.settings.data_dir, colbert=str(networks["splade"]))
    networks["colbert"].rename(tmp_path / "elsewhere")
    try:
        with (
            moved.catalog.open("documents") as collection,
            pytest.raises(IndexMismatch, match="set TWOTOWER_COLBERT to its folder"),
        ):
            moved.retriever(collection).retrieve(QUESTION)
    finally:
        (tmp_path / "elsewhere").rename(networks["colbert"])


def test_views_of_a_passage_are_its_title_and_its_questions():
    text = "Lost tokens\nReport it at once. Who blocks the token at night? The desk does."
    assert views_of(text) == [text, "Lost tokens", "Who blocks the token at night?"]
    assert views_of("One line.") == ["One line."]
