import pytest

from retrieval.errors import IndexMismatch
from retrieval.lexical import Bm25Settings
from retrieval.store.card import EncoderCard, IndexCard

CARD = IndexCard(
    encoder=EncoderCard("mini", "f" * 64, 384),
    bm25=Bm25Settings(avg_len=57.3),
    chunking={"chunk_tokens": 256, "overlap_tokens": 32},
)


def test_a_card_comes_back_as_it_was_written():
    assert IndexCard.from_payload(CARD.to_payload(), "docs") == CARD


def test_equal_settings_pass():
    CARD.require("docs", fingerprint="f" * 64, encoder_name="other name", chunking=CARD.chunking)


def test_each_difference_is_named_with_the_remedy():
    with pytest.raises(IndexMismatch) as caught:
        CARD.require(
            "docs",
            fingerprint="a" * 64,
            encoder_name="maxi",
            chunking={"chunk_tokens": 128, "overlap_tokens": 32},
        )
    message = str(caught.value)
    for part in ("'docs'", "mini (ffffffffffff)", "maxi (aaaaaaaaaaaa)", "chunk_tokens 256 in the"):
        assert part in message
    assert "--collection" in message
    assert "overlap_tokens" not in message


def test_a_card_of_another_schema_is_refused():
    with pytest.raises(IndexMismatch, match="schema 99"):
        IndexCard.from_payload(CARD.to_payload() | {"schema": 99}, "docs")
