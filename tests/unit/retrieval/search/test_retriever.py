from dataclasses import replace

import numpy as np
import pytest

from twotower.retrieval.index.card import Calibration, EncoderCard, IndexCard, bm25_leg, dense_leg
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.store.edge import EdgeStore
from twotower.retrieval.legs.bm25 import Bm25Leg
from twotower.retrieval.legs.dense import DenseLeg
from twotower.retrieval.models.bm25 import Bm25, Bm25Settings
from twotower.retrieval.models.lazy import LazyEncoder
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.search.retriever import Retriever
from twotower.retrieval.vocabulary.documents import Chunk, Provenance, chunk_id
from twotower.retrieval.vocabulary.errors import ConfigurationError, IndexMismatch
from twotower.retrieval.vocabulary.filters import parse_filters

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
    encoder = EncoderCard("words", word_encoder.model.fingerprint, word_encoder.dimension)
    legs = (dense_leg(encoder), bm25_leg(Bm25Settings(avg_len=5.0)))
    store = EdgeStore(tmp_path / "docs", [leg.spec for leg in legs])
    with Collection("docs", store) as collection:
        collection.write_card(IndexCard(legs, {}))
        add(collection, word_encoder, *(make_chunk(text, n) for n, text in enumerate(TEXTS)))
        yield collection


def legs_of(collection: Collection, encoder) -> dict:
    dense, bm25 = collection.card().legs
    return {"dense": DenseLeg(dense, encoder), "bm25": Bm25Leg(bm25)}


def make_retriever(collection: Collection, encoder, *arguments, **options) -> Retriever:
    return Retriever(collection, legs_of(collection, encoder), *arguments, **options)


def add(collection: Collection, encoder, *chunks: Chunk) -> None:
    texts = [chunk.encoded_text for chunk in chunks]
    legs = legs_of(collection, encoder)
    collection.write_chunks(
        chunks, {name: leg.encode_passages(texts) for name, leg in legs.items()}
    )


@pytest.fixture
def retriever(collection, word_encoder):
    return make_retriever(collection, word_encoder)


def test_hybrid_hits_carry_both_legs(retriever):
    first = retriever.retrieve("flange bolts", SearchOptions(limit=3)).hits[0]
    assert first.chunk.text == TEXTS[0]
    assert first.rank == 1
    assert first.legs["dense"].rank == first.legs["bm25"].rank == 1


def test_a_leg_that_did_not_return_the_hit_is_none(retriever):
    hits = {hit.chunk.text: hit for hit in retriever.retrieve("flange bolts").hits}
    assert len(hits) == len(TEXTS)
    assert hits[TEXTS[3]].legs["bm25"] is None
    assert hits[TEXTS[3]].legs["dense"] is not None


def test_a_single_leg_shows_its_own_scores(retriever):
    for hit in retriever.retrieve("flange bolts", BM25).hits:
        assert hit.legs == {"dense": None, "bm25": hit.legs["bm25"]}
        assert hit.score == hit.legs["bm25"].score


def test_a_bm25_search_loads_no_encoder(collection):
    def fail(*_arguments):
        raise AssertionError("the encoder was loaded")

    retriever = make_retriever(collection, LazyEncoder(fail, fail))
    assert retriever.retrieve("flange", BM25).hits


def test_a_question_of_stop_words_is_answered_by_the_dense_leg(retriever):
    assert retriever.retrieve("the of and", BM25).hits == ()
    hits = retriever.retrieve("the of and").hits
    assert hits
    assert all(hit.legs["bm25"] is None for hit in hits)


def test_hits_are_the_same_each_time(retriever):
    assert retriever.retrieve("seals").hits == retriever.retrieve("seals").hits


@pytest.mark.parametrize(
    ("question", "message"), [("", "empty"), (" \n", "empty"), ("x" * 10_001, "10,001")]
)
def test_bad_questions_are_refused(retriever, question, message):
    with pytest.raises(ConfigurationError, match=message):
        retriever.retrieve(question)


def test_an_encoder_that_is_refused_leaves_bm25_searches(collection):
    def refuse():
        raise IndexMismatch("the collection was built with another encoder")

    retriever = make_retriever(collection, LazyEncoder(refuse, lambda model: model))
    with pytest.raises(IndexMismatch, match="another encoder"):
        retriever.retrieve("flange")
    assert retriever.retrieve("flange", BM25).hits


def test_vectors_that_are_not_finite_are_refused(collection):
    broken = np.full((1, 64), np.nan, dtype=np.float32)
    with pytest.raises(ValueError, match="finite"):
        collection.write_chunks(
            [make_chunk("x", 9)],
            {"dense": broken, "bm25": [Bm25(Bm25Settings()).encode_passage("x")]},
        )


def other(text: str, position: int, source: str, **metadata) -> Chunk:
    chunk = make_chunk(text, position)
    return replace(
        chunk,
        id=chunk_id(source, text, position),
        provenance=replace(chunk.provenance, source=source),
        metadata=metadata,
    )


def test_the_explanation_adds_up(retriever, collection):
    """Every number of a hit can be computed from the others, and from the collection."""
    card = collection.card()
    for hit in retriever.retrieve("flange bolts of viton xyzzy", explain=True).hits:
        explanation = hit.explanation
        dense, bm25 = hit.legs["dense"], hit.legs["bm25"]
        mean, deviation = explanation.background
        weight, normalised = explanation.parts["dense"]
        assert normalised == pytest.approx((dense.score - mean) / (5 * deviation))
        lexical, covered = explanation.parts["bm25"]
        score = bm25.score if bm25 else 0.0
        assert covered == pytest.approx(score / explanation.question_idf, rel=1e-5)
        assert hit.fused == pytest.approx(weight * normalised + lexical * covered)
        assert sum(
            term.query_weight * term.idf * term.weight for term in explanation.terms
        ) == pytest.approx(score, rel=1e-4)
        assert sum(term.query_weight * term.idf for term in explanation.terms) == pytest.approx(
            explanation.question_idf
        )
        for term in explanation.terms:
            having = sum(term.term in text for text in TEXTS)
            assert term.idf == pytest.approx(
                np.log(1 + (len(TEXTS) - having + 0.5) / (having + 0.5)), rel=1e-4
            )
        values = Bm25(card.bm25).encode_passage(hit.chunk.encoded_text).values
        weights = [term.weight for term in explanation.terms if term.weight]
        nearest = [min(values, key=lambda value, w=weight: abs(value - w)) for weight in weights]
        assert weights == pytest.approx(nearest)


def test_the_closest_sentence_is_of_the_passage(retriever, collection, word_encoder):
    add(collection, word_encoder, other("A boat. The flange bolts hold it. Rain.", 0, "b.md"))
    hits = {
        h.chunk.provenance.source: h for h in retriever.retrieve("flange bolts", explain=True).hits
    }
    closest = hits["b.md"].explanation.closest
    assert hits["b.md"].chunk.text[closest.start : closest.end] == "The flange bolts hold it."
    assert retriever.retrieve("flange", BM25, explain=True).hits[0].explanation.closest is None


def test_a_score_does_not_depend_on_the_depth(collection, word_encoder):
    many = [other(f"flange number {n} of many", n, f"{n}.md") for n in range(40)]
    add(collection, word_encoder, *many)
    retriever = make_retriever(collection, word_encoder)

    def scores(depth: int) -> dict:
        options = SearchOptions(limit=5, depth=depth)
        return {h.chunk.id: h.score for h in retriever.retrieve("flange bolts viton", options).hits}

    shallow, deep = scores(5), scores(60)
    assert {id: deep[id] for id in shallow.keys() & deep.keys()} == pytest.approx(
        {id: shallow[id] for id in shallow.keys() & deep.keys()}
    )
    assert shallow.keys() & deep.keys()


def test_a_passage_of_the_other_leg_has_its_score_without_a_rank(collection, word_encoder):
    add(collection, word_encoder, *(other(f"bolts {n}", n, f"{n}.md") for n in range(30)))
    retriever = make_retriever(collection, word_encoder)
    hits = retriever.retrieve("flange viton", SearchOptions(limit=3, depth=3)).hits
    places = [place for hit in hits for place in hit.legs.values() if place]
    assert any(place.rank is None for place in places)
    assert all(np.isfinite(place.score) for place in places)


def test_many_questions_are_answered_as_one_at_a_time(retriever):
    questions = ["flange bolts", "holidays office", "viton"]
    together = [result.hits for result in retriever.retrieve_many(questions)]
    assert together == [retriever.retrieve(question).hits for question in questions]
    assert retriever.retrieve_many([]) == []


def test_quotes_ask_for_the_exact_words(retriever):
    assert [h.chunk.text for h in retriever.retrieve('"seals are made"').hits] == [TEXTS[2]]
    without = retriever.retrieve('"made are seals"')
    assert without.ignored_phrases == ("made are seals",)
    assert len(without.hits) == len(TEXTS)
    assert [h.chunk.text for h in retriever.retrieve("what \u201cBehind the tree\u201d").hits] == [
        TEXTS[3]
    ]


def test_at_most_so_many_hits_of_one_document(collection, word_encoder):
    add(collection, word_encoder, *(other(f"flange {n} bolts", n, "big.md") for n in range(150)))
    add(collection, word_encoder, other("a flange far away in a long other text", 0, "small.md"))
    retriever = make_retriever(collection, word_encoder)
    hits = retriever.retrieve("flange bolts", SearchOptions(limit=4, per_document=2)).hits
    sources = [hit.chunk.provenance.source for hit in hits]
    assert len(hits) == 4
    assert max(sources.count(source) for source in sources) == 2
    assert [hit.rank for hit in hits] == [1, 2, 3, 4]


def test_neighbours_come_in_the_order_of_the_document(retriever):
    options = SearchOptions(limit=1, expand=2)
    hit = retriever.retrieve("flange seals viton", options).hits[0]
    assert hit.chunk.text == TEXTS[2]
    assert [chunk.text for chunk in hit.before] == TEXTS[:2]
    assert [chunk.text for chunk in hit.after] == TEXTS[3:]


def test_a_filter_on_metadata(collection, word_encoder):
    add(
        collection,
        word_encoder,
        other("flange of Ann", 0, "x/a.md", author="Ann", year=2024, tags=("new", "red")),
        other("flange of Bo", 0, "y/b.md", author="Bo", year=2025, rate=0.5),
    )
    retriever = make_retriever(collection, word_encoder)

    def found(*expressions: str) -> set[str]:
        where = parse_filters(expressions, collection.metadata_keys())
        hits = retriever.retrieve("flange", SearchOptions(where=where)).hits
        return {hit.chunk.provenance.source for hit in hits}

    assert collection.metadata_keys() == ["author", "rate", "tags", "year"]
    assert found("author=Ann") == found("year<2025") == found("tags=red") == {"x/a.md"}
    assert found("rate=0.5") == found("folder=y") == found("source=y/**") == {"y/b.md"}
    assert found("author!=Ann") == {"a.md", "y/b.md"}
    assert found("year=2024..2025", "type=md") == {"x/a.md", "y/b.md"}
    assert collection.facets("author", parse_filters(["folder=x"])) == {"Ann": 1}
    assert collection.facets("year", parse_filters([])) == {"2024": 1, "2025": 1}
    with pytest.raises(ConfigurationError, match="no facet 'colour'; there are: source"):
        collection.facets("colour", parse_filters([]))


class FixedReranker:
    """A stand-in for a reranker: scores by a word, and takes time on the test's clock."""

    def __init__(self, clock, word="bicycle", score=1.0):
        self.clock, self.word, self.score, self.seen = clock, word, score, 0

    def scores(self, question, chunks):
        self.seen += len(chunks)
        self.clock.now += 0.1
        return [self.score if self.word in chunk.text else 0.0 for chunk in chunks]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def reranking(collection, word_encoder, reranker, clock) -> Retriever:
    return make_retriever(collection, word_encoder, lambda _: reranker, clock=clock)


def test_a_reranker_moves_hits_and_they_say_how_far(collection, word_encoder):
    clock = Clock()
    retriever = reranking(collection, word_encoder, FixedReranker(clock), clock)
    options = SearchOptions(rerank="cross-encoder", rerank_weight=0.9)
    before = {hit.chunk.id: hit.rank for hit in retriever.retrieve("flange bolts").hits}
    result = retriever.retrieve("flange bolts", options)
    hits = result.hits
    assert hits[0].chunk.text == TEXTS[3]
    assert [h.reranked.rank_change for h in hits] == [before[h.chunk.id] - h.rank for h in hits]
    assert hits[0].reranked.score == 1.0
    assert not result.out_of_time


def test_past_the_budget_the_best_so_far_is_returned_and_says_so(collection, word_encoder):
    add(collection, word_encoder, *(other(f"flange {n} bolts", n, f"{n}.md") for n in range(60)))
    clock = Clock()
    reranker = FixedReranker(clock, word="flange 3 ")
    retriever = reranking(collection, word_encoder, reranker, clock)
    options = SearchOptions(rerank="late-interaction", budget_ms=150, limit=20)
    result = retriever.retrieve("flange bolts", options)
    assert reranker.seen == 32  # two batches of 16, after which 200 ms had passed
    assert result.out_of_time
    assert len(result.hits) == 20
    assert result.seconds == pytest.approx(0.2)


def test_a_reranker_that_gives_nan_is_refused(collection, word_encoder):
    clock = Clock()
    broken = FixedReranker(clock, word="flange", score=float("nan"))
    retriever = reranking(collection, word_encoder, broken, clock)
    with pytest.raises(ConfigurationError, match="not a number"):
        retriever.retrieve("flange", SearchOptions(rerank="cross-encoder"))


def test_feedback_adds_the_words_of_the_first_hits(collection, word_encoder):
    add(collection, word_encoder, other("flange gasket rubber", 0, "g.md"))
    add(collection, word_encoder, other("gasket rubber sheet", 0, "s.md"))
    retriever = make_retriever(collection, word_encoder)
    hits = retriever.retrieve("flange gasket", SearchOptions(feedback=2), explain=True).hits
    added = dict(hits[0].explanation.added)
    assert "rubber" in added
    explanation = hits[0].explanation
    assert sum(term.score for term in explanation.terms) == pytest.approx(
        hits[0].legs["bm25"].score, rel=1e-4
    )


def test_a_calibrated_collection_judges(collection, word_encoder):
    unsure = make_retriever(collection, word_encoder).retrieve("flange")
    assert unsure.judgement.answerable == "unknown"
    sure = Calibration({"cosine": 1.0}, 50.0, 30, 0.9)
    collection.write_card(replace(collection.card(), calibrations={"none": sure}))
    retriever = make_retriever(collection, word_encoder)
    assert retriever.retrieve("flange").judgement.answerable == "true"
    assert retriever.retrieve("flange", BM25).judgement.answerable == "unknown"


def test_copies_of_a_passage_are_named_with_it_and_leave_room_for_other_hits(
    collection, word_encoder
):
    copies = []
    for number in range(300):
        source = f"copy {number}.md"
        provenance = Provenance(source, "A", (), None, None, 0, len(TEXTS[0]))
        copies.append(Chunk(chunk_id(source, TEXTS[0], 0), TEXTS[0], "", 0, provenance))
    add(collection, word_encoder, *copies)
    retriever = make_retriever(collection, word_encoder)
    result = retriever.retrieve("flange bolts", SearchOptions(limit=2))
    assert [hit.chunk.text for hit in result.hits] == [TEXTS[0], TEXTS[2]]
    assert len(result.hits[0].copies) == 300
    assert result.hits[1].copies == ()
    where = parse_filters(["source=copy 7.md"], [])
    (one,) = retriever.retrieve("flange bolts", SearchOptions(where=where)).hits
    assert (one.chunk.provenance.source, one.copies) == ("copy 7.md", ())
