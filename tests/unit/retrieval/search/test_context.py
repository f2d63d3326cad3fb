from dataclasses import replace

import pytest

from twotower.retrieval.search.context import build_context
from twotower.retrieval.search.results import Hit
from twotower.retrieval.vocabulary.documents import Chunk, Provenance, chunk_id

WORDS = " ".join(f"w{n}" for n in range(40))


def chunk(text: str, position: int, source: str = "a.md", start: int = 0, page=None) -> Chunk:
    where = Provenance(source, "A", ("H",), page, page, start, start + len(text))
    return Chunk(chunk_id(source, text, position), text, "", position, where)


def hits(*chunks: Chunk) -> list[Hit]:
    return [Hit(rank, 1.0 / rank, one, {}) for rank, one in enumerate(chunks, start=1)]


def words(text: str) -> int:
    return len(text.split())


def test_passages_are_numbered_in_the_order_of_their_hits():
    context = build_context(hits(chunk("b", 0, "b.md"), chunk("a", 0, "a.md", page=3)), 100, words)
    assert [(p.number, p.source) for p in context.passages] == [(1, "b.md"), (2, "a.md")]
    assert context.passages[1].citation == "a.md, page 3, H"
    assert context.text == "[1] b.md, H\nb\n\n[2] a.md, page 3, H\na"
    assert context.tokens == words(context.text)


def test_chunks_that_adjoin_become_one_passage_and_their_overlap_is_written_once():
    first = chunk("one two three", 4, start=0)
    second = chunk("three four", 5, start=8)
    apart = chunk("seven", 7, start=50)
    context = build_context(hits(second, apart, first), 100, words)
    assert [p.text for p in context.passages] == ["one two three four", "seven"]
    assert context.passages[0].chunk_ids == (first.id, second.id)


def test_the_same_text_appears_once():
    copy = chunk("the same words", 0, "copy.md")
    context = build_context(hits(chunk("the same words", 0), copy), 100, words)
    assert [p.source for p in context.passages] == ["a.md"]


def test_neighbours_join_their_hit():
    before, here, after = (chunk(t, n, start=9 * n) for n, t in enumerate(("x y", "p q", "r s")))
    hit = replace(hits(here)[0], before=(before,), after=(after,))
    context = build_context([hit], 100, words)
    assert [p.text for p in context.passages] == ["x y\n\np q\n\nr s"]


def test_the_budget_cuts_at_the_end_of_a_sentence():
    long = chunk("First sentence here. Second sentence here. Third one.", 0)
    context = build_context(hits(long, chunk(WORDS, 0, "b.md")), 9, words)
    assert [p.text for p in context.passages] == ["First sentence here. Second sentence here."]
    assert context.passages[0].cut
    assert context.tokens <= 9
    assert build_context(hits(long), 3, words).passages == ()


def test_a_budget_of_nothing_is_a_mistake():
    with pytest.raises(ValueError, match="max_tokens is 0"):
        build_context([], 0, words)


@pytest.mark.parametrize("budget", [5, 10, 20, 40, 80])
def test_no_context_is_over_its_budget(budget):
    many = hits(*(chunk(f"Sentence {n} is here. {WORDS}.", 0, f"{n}.md") for n in range(4)))
    context = build_context(many, budget, words)
    assert words(context.text) <= context.tokens <= budget
