from dataclasses import replace

import pytest

from twotower.retrieval.index.card import EncoderCard, IndexCard, LegCard, bm25_leg, dense_leg
from twotower.retrieval.models.bm25 import Bm25Settings
from twotower.retrieval.vocabulary.errors import IndexMismatch

CARD = IndexCard(
    legs=(
        dense_leg(EncoderCard("mini", "f" * 64, 384)),
        bm25_leg(Bm25Settings(avg_len=57.3, language="english")),
    ),
    chunking={"chunk_tokens": 256, "overlap_tokens": 32},
)


def test_a_card_comes_back_as_it_was_written():
    assert IndexCard.from_payload(CARD.to_payload(), "docs") == CARD


def test_equal_settings_pass():
    CARD.require("docs", CARD.chunking, "english")


def test_terms_of_an_older_analysis_are_named():
    legs = tuple(replace(leg, fingerprint=leg.fingerprint.partition(" a")[0]) for leg in CARD.legs)
    with pytest.raises(IndexMismatch, match=r"terms of BM25 from another version .* reindex"):
        replace(CARD, legs=legs).require("docs", CARD.chunking)


def test_each_difference_is_named_with_the_remedy():
    with pytest.raises(IndexMismatch) as caught:
        CARD.require("docs", {"chunk_tokens": 128, "overlap_tokens": 32})
    message = str(caught.value)
    for part in ("'docs'", "chunk_tokens 256 in the index, 128 in the settings"):
        assert part in message
    assert "ingest into a new collection" in message
    assert "--" not in message
    assert "overlap_tokens" not in message


def test_a_difference_that_the_stored_text_can_settle_names_reindex():
    with pytest.raises(IndexMismatch) as caught:
        CARD.require("docs", CARD.chunking, language="german")
    message = str(caught.value)
    assert "language english in the index, german in the settings" in message
    assert "run `twotower reindex`" in message


@pytest.mark.parametrize(
    ("schema", "remedy"),
    [(99, "newer twotower .*upgrade"), (2, "older twotower .*run `twotower ingest`")],
)
def test_a_card_of_another_schema_is_refused(schema, remedy):
    with pytest.raises(IndexMismatch, match=rf"{remedy}") as caught:
        IndexCard.from_payload(CARD.to_payload() | {"schema": schema}, "docs")
    assert f"schema {schema}," in str(caught.value)


def test_cards_differ_only_by_what_decides_vectors_and_layout():
    dense, _ = CARD.legs
    longer = replace(
        CARD,
        legs=(dense, bm25_leg(Bm25Settings(avg_len=60.0, language="english"))),
        search={"mode": "dense"},
    )
    assert CARD.builds_like(longer)
    assert not CARD.builds_like(replace(CARD, quantization="int8"))
    german = bm25_leg(Bm25Settings(language="german"))
    assert not CARD.builds_like(replace(CARD, legs=(dense, german)))
    assert not CARD.builds_like(replace(CARD, legs=(dense,)))
    assert CARD.builds_like(replace(CARD, legs=CARD.legs[::-1]))


SCHEMA_3 = {
    "kind": "card",
    "encoder": {
        "name": "mini",
        "fingerprint": "f" * 64,
        "dimension": 384,
        "question_prompt": None,
        "passage_prompt": "passage: ",
    },
    "bm25": {"k1": 1.2, "b": 0.75, "avg_len": 57.3, "language": "german"},
    "chunking": {"chunk_tokens": 256, "overlap_tokens": 32},
    "search": {"mode": "hybrid", "dense_weight": 0.75},
    "calibrations": {"none": {"weights": {"top": 1.5}, "bias": 0.5, "questions": 9, "auc": 0.8}},
    "quantization": "int8",
    "on_disk": True,
    "schema": 3,
}


def test_a_card_of_schema_3_is_read_as_the_same_card_of_this_one():
    card = IndexCard.from_payload(SCHEMA_3, "docs")
    assert card.encoder == EncoderCard("mini", "f" * 64, 384, None, "passage: ")
    assert card.bm25 == Bm25Settings(avg_len=57.3, language="german")
    assert [(leg.name, leg.kind, leg.dimension) for leg in card.legs] == [
        ("dense", "dense", 384),
        ("bm25", "sparse", None),
    ]
    assert card.leg("dense").fingerprint == "f" * 64
    assert card.leg("bm25").fingerprint == "bm25 k1=1.2 b=0.75 german"  # of older terms
    assert card.search == {"mode": "hybrid", "weights": {"dense": 0.75, "bm25": 0.25}}
    assert (card.calibrations["none"].auc, card.quantization, card.on_disk) == (0.8, "int8", True)
    assert card.schema == 4
    again = IndexCard.from_payload(card.to_payload(), "docs")
    assert again == card
    assert SCHEMA_3["search"] == {"mode": "hybrid", "dense_weight": 0.75}


def test_a_missing_leg_is_an_error_that_lists_the_legs():
    tokens = LegCard("tokens", "multi", 128, "t" * 64, {"name": "late"})
    card = IndexCard(legs=(tokens,), chunking={})
    assert card.leg("dense") is None
    for name in ("encoder", "bm25"):
        with pytest.raises(IndexMismatch, match="its legs: tokens"):
            getattr(card, name)
    assert IndexCard.from_payload(card.to_payload(), "docs") == card
