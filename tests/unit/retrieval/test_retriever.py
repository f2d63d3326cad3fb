from dataclasses import replace

import numpy as np
import pytest

from retrieval.collection import Collection
from retrieval.errors import ConfigurationError, IndexMismatch
from retrieval.lexical import Bm25, Bm25Settings
from retrieval.options import SearchOptions
from retrieval.retriever import Retriever
from retrieval.store.card import EncoderCard, IndexCard
from retrieval.store.edge import EdgeStore
from retrieval.types import Chunk, Provenance, chunk_id

BM25 = SearchOptions(mode="bm25")
TEXTS = [
    "the flange bolts take fifty newton metres",
    "holidays are booked with the office",
    "flange seals are made of viton",
    "a bicycle stands behind the tree",
]


def make_chunk(text: str, position: int) -> Chunk:
    provenance = Provenance("a.md", "A", (), None, None, 0, len(text))
    return Chunk(chunk_id("a.md", text, 0), text, "", position, provenance)


@pytest.fixture
def collection(tmp_path, word_encoder):
    bm25 = Bm25Settings(avg_len=5.0)
    with Collection("docs", EdgeStore(tmp_path / "docs", word_encoder.dimension)) as collection:
        card = EncoderCard("words", word_encoder.model.fingerprint, word_encoder.dimension)
        collection.write_card(IndexCard(card, bm25, {}))
        chunks = [make_chunk(text, n) for n, text in enumerate(TEXTS)]
        sparse = [Bm25(bm25).encode_passage(text) for text in TEXTS]
        collection.write_chunks(chunks, word_encoder.encode_passages(TEXTS), sparse)
        yield collection


@pytest.fixture
def retriever(collection, word_encoder):
    return Retriever(collection, lambda: word_encoder)


def test_hybrid_hits_carry_both_legs(retriever):
    first = retriever.retrieve("flange bolts", SearchOptions(limit=3))[0]
    assert first.chunk.text == TEXTS[0]
    assert first.rank == 1
    assert first.legs["dense"].rank == first.legs["bm25"].rank == 1


def test_a_leg_that_did_not_return_the_hit_is_none(retriever):
    hits = {hit.chunk.text: hit for hit in retriever.retrieve("flange bolts")}
    assert len(hits) == len(TEXTS)
    assert hits[TEXTS[3]].legs["bm25"] is None
    assert hits[TEXTS[3]].legs["dense"] is not None


def test_a_single_leg_shows_its_own_scores(retriever):
    for hit in retriever.retrieve("flange bolts", BM25):
        assert hit.legs == {"dense": None, "bm25": hit.legs["bm25"]}
        assert hit.score == hit.legs["bm25"].score


def test_bm25_never_makes_the_encoder(collection):
    def fail():
        raise AssertionError("the encoder was made")

    assert Retriever(collection, fail).retrieve("flange", BM25)


def test_a_question_of_stop_words_is_answered_by_the_dense_leg(retriever):
    assert retriever.retrieve("the of and", BM25) == []
    hits = retriever.retrieve("the of and")
    assert hits
    assert all(hit.legs["bm25"] is None for hit in hits)


def test_hits_are_the_same_each_time(retriever):
    assert retriever.retrieve("seals") == retriever.retrieve("seals")


@pytest.mark.parametrize(
    ("question", "message"), [("", "empty"), (" \n", "empty"), ("x" * 10_001, "10,001")]
)
def test_bad_questions_are_refused(retriever, question, message):
    with pytest.raises(ConfigurationError, match=message):
        retriever.retrieve(question)


def test_another_encoder_is_refused(collection, word_encoder):
    word_encoder.model = replace(word_encoder.model, question_prompt="query: ")
    retriever = Retriever(collection, lambda: word_encoder)
    with pytest.raises(IndexMismatch, match="words"):
        retriever.retrieve("flange")
    assert retriever.retrieve("flange", BM25)


def test_vectors_that_are_not_finite_are_refused(collection):
    broken = np.full((1, 64), np.nan, dtype=np.float32)
    with pytest.raises(ValueError, match="finite"):
        collection.write_chunks(
            [make_chunk("x", 9)], broken, [Bm25(Bm25Settings()).encode_passage("x")]
        )
