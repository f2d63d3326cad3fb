from collections import Counter
from uuid import UUID

import pytest

from twotower.retrieval.vocabulary.documents import Chunk, Provenance
from twotower.training.examples import Examples
from twotower.training.pairs import Drawer, Pair, corpus_pairs, near_duplicate_of, split

TEXT = (
    "The seal of the old pump is made of viton. It is changed in spring by two men. Who changes "
    "the seal of the old pump in the autumn?"
)


def chunk(number: int, title: str = "Pumps", headings=("Seals",), text: str = TEXT) -> Chunk:
    place = Provenance(f"{number}.md", title, headings, None, None, 0, len(text))
    return Chunk(UUID(int=number), text, title, 0, place)


def test_the_text_of_a_collection_gives_pairs_by_source():
    pairs = list(corpus_pairs([chunk(0)], ("titles", "headings", "sentences", "questions")))
    assert Counter(pair.source for pair in pairs) == {
        "titles": 1,
        "headings": 1,
        "sentences": 2,
        "questions": 1,
    }
    title, cloze = pairs[0], next(pair for pair in pairs if pair.source == "sentences")
    assert (title.question, title.text) == ("Pumps", TEXT)
    assert cloze.question not in cloze.text
    assert cloze.text.startswith("It is changed in spring")
    assert list(corpus_pairs([chunk(0, "", (), "Two words.")], ("titles", "headings"))) == []


def test_a_sentence_needs_a_rest_to_be_found_in():
    alone = chunk(0, text="The seal of the old pump is made of viton.")
    assert list(corpus_pairs([alone], ("sentences",))) == []


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("Who changes the seal of the pump?", True),
        ("who changes the SEAL of the pump", True),
        ("who changes the seal of the old pump", True),
        ("who changes the filter of the new pump", False),
        ("", False),
    ],
)
def test_near_duplicates_share_four_fifths_of_their_words(text, near):
    assert near_duplicate_of(["Who changes the seal of the pump?"])(text) is near


def examples(count: int) -> tuple[Examples, list]:
    questions = tuple(f"question{n} about thing{n} of year{n}" for n in range(count))
    judged = tuple({f"{n}.md": 1} for n in range(count))
    places = [{f"{n}.md": [n]} for n in range(count)]
    return Examples(questions, ("labels",) * count, judged), places


def test_questions_are_held_out_and_are_not_trained_on():
    given, places = examples(50)
    chunks = [chunk(n) for n in range(50)]
    made = split(given, places, chunks, ("labels",), by_document=False, seed=0)
    assert (len(made.test), len(made.validation), len(made.trained)) == (20, 10, 20)
    assert set(made.test) | set(made.validation) | set(made.trained) == set(range(50))
    assert {pair.passage for pair in made.pairs} == set(made.trained)
    assert made.counts == {"labels": 20}
    again = split(given, places, chunks, ("labels",), by_document=False, seed=0)
    assert again == made


def test_a_title_that_is_a_held_out_question_is_left_out_and_counted():
    given, places = examples(50)
    chunks = [chunk(n, title=given.questions[n]) for n in range(50)]
    made = split(given, places, chunks, ("titles",), by_document=False, seed=0)
    assert made.near_duplicates == 30
    assert {pair.passage for pair in made.pairs} == set(made.trained)


def test_documents_of_held_out_questions_are_left_out_and_counted():
    given, places = examples(50)
    chunks = [chunk(n) for n in range(50)]
    made = split(given, places, chunks, ("labels", "titles"), by_document=True, seed=0)
    assert {pair.passage for pair in made.pairs} == set(made.trained)
    assert made.of_held_out_documents == 30


def test_a_batch_has_no_question_twice_and_no_answer_of_another_one():
    pairs = [Pair(f"q{n % 10}", n, "", "labels") for n in range(40)]
    relevant = {f"q{n}": frozenset(range(n, 40, 10)) for n in range(10)}
    drawn = Drawer(pairs, {"labels": 1.0}, relevant).draw(20, 8, seed=1)
    assert len(drawn) == 160
    for first in range(0, 160, 8):
        assert len({pairs[number].question for number in drawn[first : first + 8]}) == 8
    assert min(Counter(drawn).values()) >= 3  # all are taken before one is taken again


def test_sources_are_drawn_by_their_weights_and_by_the_seed():
    pairs = [Pair(f"a{n}", n, "", "labels") for n in range(100)]
    pairs += [Pair(f"b{n}", 100 + n, "", "titles") for n in range(100)]
    drawer = Drawer(pairs, {"labels": 3.0, "titles": 1.0})
    drawn = drawer.draw(50, 16, seed=0)
    share = sum(number < 100 for number in drawn) / len(drawn)
    assert 0.7 < share < 0.8
    assert drawer.draw(50, 16, seed=0) == drawn
    assert drawer.draw(50, 16, seed=1) != drawn


def test_pairs_that_cannot_fill_a_batch_are_taken_all_the_same():
    drawer = Drawer([Pair("q", 0, "", "labels"), Pair("q", 1, "", "labels")], {})
    assert sorted(set(drawer.draw(1, 4, seed=0))) == [0, 1]
