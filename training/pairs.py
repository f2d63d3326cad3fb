"""Pairs of a question and a passage that answers it, for training; and questions held out."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.text import normalised
from twotower.training.examples import Examples

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"\w+")
_LEAST_WORDS = 6  # of a sentence that can stand for a question
_LEAST_REST = 12  # words of a passage without the sentence
_SAME = 0.8  # share of words from which two questions are near-duplicates
_TESTED, _VALIDATED = 0.4, 0.2  # shares of the labelled questions
_CORPUS = ("titles", "headings", "sentences", "questions")


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and its passage.

    Attributes
    ----------
    passage
        Number of the passage in the collection.
    text
        The text that the passage tower reads: for a title, a passage without its title.
    source
        Where the pair comes from; see `recipe.SOURCES`.
    """

    question: str
    passage: int
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Split:
    """Pairs to train on, and numbers of labelled questions held out.

    Attributes
    ----------
    pairs
        In a stable order.
    trained, validation, test
        Numbers of questions of the `Examples`.
    near_duplicates
        Number of questions that were left out because a question held out is almost the same.
    of_held_out_documents
        Number of pairs that were left out because a question held out asks for their document.
    """

    pairs: tuple[Pair, ...]
    trained: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    near_duplicates: int = 0
    of_held_out_documents: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Number of pairs by source."""
        return dict(Counter(pair.source for pair in self.pairs))


def sentences_of(text: str) -> Iterator[str]:
    """Yield the sentences of a passage that can stand for a question."""
    return (s for s in _SENTENCE.split(text) if len(s.split()) >= _LEAST_WORDS)


def corpus_pairs(chunks: Sequence[Chunk], sources: Sequence[str]) -> Iterator[Pair]:
    """Make pairs from the text of the collection alone.

    ``titles`` and ``headings`` ask for each passage below them, which is shown without them.
    ``sentences`` ask for the rest of their passage (inverse cloze task; Lee et al., 2019,
    arXiv 1906.00300); ``questions`` are those of them that end with a question mark.
    """
    for number, chunk in enumerate(chunks):
        provenance = chunk.provenance
        if "titles" in sources and provenance.title.strip():
            yield Pair(provenance.title, number, chunk.text, "titles")
        if "headings" in sources and provenance.headings:
            yield Pair(provenance.headings[-1], number, chunk.text, "headings")
        for sentence in sentences_of(chunk.text):
            source = "questions" if sentence.rstrip().endswith("?") else "sentences"
            rest = " ".join(chunk.text.replace(sentence, " ").split())
            if source in sources and len(rest.split()) >= _LEAST_REST:
                yield Pair(" ".join(sentence.split()), number, rest, source)


def labelled_pairs(
    examples: Examples,
    numbers: Sequence[int],
    places: Sequence[Mapping[str, Sequence[int]]],
    texts: Sequence[str],
) -> Iterator[Pair]:
    """Make the pairs of labelled questions: one passage of each relevant place.

    Parameters
    ----------
    places
        For each question, the passages of each relevant place; the first one is taken.
    """
    for number in numbers:
        for passages in places[number].values():
            passage = passages[0]
            source = "clicks" if examples.sources[number] == "clicks" else "labels"
            yield Pair(examples.questions[number], passage, texts[passage], source)


def split(
    examples: Examples,
    places: Sequence[Mapping[str, Sequence[int]]],
    chunks: Sequence[Chunk],
    sources: Sequence[str],
    by_document: bool,
    seed: int,
) -> Split:
    """Hold out questions, and make pairs of the rest.

    Two fifths of the labelled questions are for the verdict, one fifth for validation. No question
    is trained on that shares four fifths of its words with one that is held out.
    """
    order = np.random.default_rng(seed).permutation(len(examples.questions)).tolist()
    tested = round(_TESTED * len(order))
    validated = round(_VALIDATED * len(order))
    test, validation = order[:tested], order[tested : tested + validated]
    held_out = [*test, *validation]
    is_near = near_duplicate_of([examples.questions[number] for number in held_out])
    rest = order[tested + validated :]
    trained = [number for number in rest if not is_near(examples.questions[number])]
    texts = [chunk.encoded_text for chunk in chunks]
    labelled = labelled_pairs(examples, trained, places, texts)
    pairs = [pair for pair in labelled if pair.source in sources]
    near = len(rest) - len(trained)
    for pair in corpus_pairs(chunks, [source for source in sources if source in _CORPUS]):
        if is_near(pair.question):
            near += 1
        else:
            pairs.append(pair)
    kept = pairs
    if by_document:
        closed = {
            chunks[passage].provenance.source
            for number in held_out
            for passages in places[number].values()
            for passage in passages
        }
        kept = [pair for pair in pairs if chunks[pair.passage].provenance.source not in closed]
    return Split(
        tuple(kept), tuple(trained), tuple(validation), tuple(test), near, len(pairs) - len(kept)
    )


def near_duplicate_of(texts: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that tells whether a text has nearly the same words as one of these.

    Nearly: the words that both have are at least 0.8 of the words that one of them has (Jaccard).
    """
    sets = [_words(text) for text in texts]
    having: dict[str, list[int]] = defaultdict(list)
    for number, words in enumerate(sets):
        for word in words:
            having[word].append(number)

    def is_near(text: str) -> bool:
        words = _words(text)
        shared = Counter(number for word in words for number in having.get(word, ()))
        return any(
            count >= _SAME * (len(words) + len(sets[number]) - count)
            for number, count in shared.items()
        )

    return is_near


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(normalised(text).casefold()))


@dataclass(frozen=True, slots=True)
class Drawer:
    """Draws the pairs of each batch.

    Parameters
    ----------
    weights
        Chance of each source, relative to the others.
    relevant
        For each question, all passages that answer it: none of them is a negative of it.
    """

    pairs: Sequence[Pair]
    weights: Mapping[str, float]
    relevant: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def draw(self, batches: int, size: int, seed: int) -> list[int]:
        """Return the numbers of the pairs of all batches, in the order of training.

        In one batch no question comes twice, and no passage of one question answers another. Each
        source's pairs are all taken once before one of them is taken again.
        """
        random = np.random.default_rng(seed)
        by_source: dict[str, list[int]] = defaultdict(list)
        for number, pair in enumerate(self.pairs):
            by_source[pair.source].append(number)
        names = sorted(by_source)
        chances = np.array([self.weights.get(name, 1.0) for name in names])
        stacks: dict[str, list[int]] = {name: [] for name in names}
        drawn: list[int] = []
        for _ in range(batches):
            chosen: list[int] = []
            later: dict[str, list[int]] = defaultdict(list)
            tries = 0
            while len(chosen) < size:
                name = names[random.choice(len(names), p=chances / chances.sum())]
                if not stacks[name]:
                    stacks[name] = random.permutation(by_source[name]).tolist()
                number = stacks[name].pop()
                tries += 1
                # A collection whose every question shares passages has no better batch.
                if self._fits(number, chosen) or tries > 20 * size:
                    chosen.append(number)
                else:
                    later[name].append(number)
            for name, numbers in later.items():
                stacks[name] += numbers
            drawn += chosen
        return drawn

    def _fits(self, number: int, chosen: Sequence[int]) -> bool:
        pair = self.pairs[number]
        own = self._answers(pair)
        return all(
            pair.question != other.question
            and other.passage not in own
            and pair.passage not in self._answers(other)
            for other in (self.pairs[each] for each in chosen)
        )

    def _answers(self, pair: Pair) -> frozenset[int]:
        return self.relevant.get(pair.question, frozenset()) | {pair.passage}
