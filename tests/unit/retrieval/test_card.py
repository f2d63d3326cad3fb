from dataclasses import replace
from types import SimpleNamespace

import pytest

from retrieval.errors import IndexMismatch
from retrieval.lexical import Bm25Settings
from retrieval.store.card import EncoderCard, IndexCard

CARD = IndexCard(
    encoder=EncoderCard("mini", "f" * 64, 384),
    bm25=Bm25Settings(avg_len=57.3),
    chunking={"chunk_tokens": 256, "overlap_tokens": 32},
)


def model(letter="f", name="mini", question=None):
    return SimpleNamespace(
        name=name, fingerprint=letter * 64, question_prompt=question, passage_prompt=None
    )


def test_a_card_comes_back_as_it_was_written():
    assert IndexCard.from_payload(CARD.to_payload(), "docs") == CARD


def test_equal_settings_pass():
    CARD.require("docs", model(name="other name"), CARD.chunking, "english")


def test_each_difference_is_named_with_the_remedy():
    with pytest.raises(IndexMismatch) as caught:
        CARD.require("docs", model("a", "maxi"), {"chunk_tokens": 128, "overlap_tokens": 32})
    message = str(caught.value)
    for part in ("'docs'", "mini (ffffffffffff)", "maxi (aaaaaaaaaaaa)", "chunk_tokens 256 in the"):
        assert part in message
    assert "--collection" in message
    assert "overlap_tokens" not in message


def test_what_the_stored_text_can_mend_is_mended_by_reindex():
    with pytest.raises(IndexMismatch) as caught:
        CARD.require("docs", model("a", question="query: "), language="german")
    message = str(caught.value)
    assert "question prompt None in the index, 'query: ' in the settings" in message
    assert "language english in the index, german in the settings" in message
    assert "run `twotower reindex`" in message


@pytest.mark.parametrize(
    ("schema", "remedy"), [(99, "newer twotower .*upgrade"), (1, "older twotower .*ingest")]
)
def test_a_card_of_another_schema_is_refused(schema, remedy):
    with pytest.raises(IndexMismatch, match=rf"{remedy}") as caught:
        IndexCard.from_payload(CARD.to_payload() | {"schema": schema}, "docs")
    assert f"schema {schema}," in str(caught.value)


def test_only_what_decides_vectors_and_layout_makes_a_collection_another_one():
    longer = replace(CARD, bm25=Bm25Settings(avg_len=60.0), search={"mode": "dense"})
    assert CARD.builds_like(longer)
    assert not CARD.builds_like(replace(CARD, quantization="int8"))
    assert not CARD.builds_like(replace(CARD, bm25=Bm25Settings(language="german")))
