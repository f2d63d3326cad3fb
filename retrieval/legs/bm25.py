"""The lexical leg: BM25 as sparse vectors, with the inverse document frequency of the store."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from twotower.retrieval.index.card import LegCard, bm25_leg
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.store.protocol import VectorQuery
from twotower.retrieval.legs.protocol import LegQuery, Models
from twotower.retrieval.models.bm25 import Bm25, Bm25Settings, fit_average_length
from twotower.retrieval.models.languages import AUTO, DEFAULT
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.filters import Filter
from twotower.retrieval.vocabulary.ranking import LegName
from twotower.retrieval.vocabulary.vectors import SparseVector

MOST_TERMS = 20  # that feedback adds to a query
_MOST_LOOKED_UP = 100


@dataclass(frozen=True, slots=True)
class TermQuery:
    """A question's terms.

    Attributes
    ----------
    vector
        Terms and their weights in the query.
    idf
        Inverse document frequency of the terms in the collection.
    added_words
        Terms that feedback added, with the words that they stand for.
    foreign
        Terms of other languages than the question's. They can be found as well, but a passage does
        not lack them.
    total_idf
        Sum of ``query weight * idf``, by which a BM25 score is divided.
    """

    vector: SparseVector
    idf: Mapping[int, float] = field(default_factory=dict)
    added_words: Mapping[int, str] = field(default_factory=dict)
    foreign: frozenset[int] = frozenset()
    total_idf: float = field(init=False)

    def __post_init__(self) -> None:
        pairs = zip(self.vector.indices, self.vector.values, strict=True)
        total = sum(v * self.idf.get(term, 0.0) for term, v in pairs if term not in self.foreign)
        object.__setattr__(self, "total_idf", total)  # every candidate is divided by it

    @property
    def trust(self) -> float:
        """See `LegQuery.trust`: BM25 compares words of any language as they are written."""
        return 1.0

    @property
    def added(self) -> tuple[tuple[str, float], ...]:
        """The words that feedback added, with their weights in the query."""
        return tuple((word, self.vector.weight(term)) for term, word in self.added_words.items())

    def search(self, name: LegName, where: Filter) -> VectorQuery:
        """See `LegQuery.search`."""
        return VectorQuery(name, self.vector, where)

    def normalise(self, score: float) -> float:
        """See `LegQuery.normalise`."""
        return coverage(score, self.total_idf)


class Bm25Leg:
    """A leg over the terms of the passages."""

    def __init__(self, card: LegCard) -> None:
        self.card = card
        self._bm25 = Bm25(Bm25Settings(**card.made_by))
        language = self._bm25.settings.language
        self._languages = [DEFAULT if language == AUTO else language]

    @classmethod
    def create(cls, name: str, models: Models, texts: Sequence[str]) -> Self:
        """See `LegType.create`; the first passages set the mean passage length."""
        settings = Bm25Settings(language=models.language)
        return cls(bm25_leg(fit_average_length(settings, texts) if texts else settings, name))

    @classmethod
    def open(cls, card: LegCard, models: Models) -> Self:
        """See `LegType.open`."""
        del models
        return cls(card)

    @classmethod
    def fingerprint(cls, models: Models) -> str:
        """See `LegType.fingerprint`."""
        return bm25_leg(Bm25Settings(language=models.language)).fingerprint

    def encode_passages(self, texts: Sequence[str]) -> list[SparseVector]:
        """See `Leg.encode_passages`."""
        return [self._bm25.encode_passage(text) for text in texts]

    def encode_questions(self, texts: Sequence[str], collection: Collection) -> list[TermQuery]:
        """See `Leg.encode_questions`."""
        self._languages = self._languages_of(collection)
        found = [self._bm25.question_terms(text, self._languages) for text in texts]
        every = {term for terms in found for term in (*terms.own, *terms.others)}
        idf = collection.idf(self.card.name, sorted(every))
        queries = []
        for terms in found:
            both = (*terms.own, *terms.others)
            vector = SparseVector(both, (1.0,) * len(both))
            queries.append(TermQuery(vector, idf, foreign=frozenset(terms.others)))
        return queries

    def _languages_of(self, collection: Collection) -> list[str]:
        """Return the languages of a collection's passages, by the terms that stand for them."""
        marks = self._bm25.marks
        if not marks:
            return [self._bm25.settings.language]
        present = collection.present_terms(self.card.name, list(marks))
        return sorted(marks[term] for term in present) or [DEFAULT]

    def expand(
        self, query: LegQuery, chunks: Sequence[Chunk], collection: Collection, weight: float
    ) -> TermQuery:
        """See `Leg.expand`: the interpolation of RM3, see `expanded`."""
        assert isinstance(query, TermQuery)  # it came from this leg
        ids = [chunk.id for chunk in chunks]
        weights = collection.vectors(self.card.name, ids)
        passages = [weights[id] for id in ids if id in weights]
        rarity = collection.idf(self.card.name, candidate_terms(passages))
        vector = expanded(query.vector, passages, rarity, weight)
        added = self._added_words(query, vector, chunks)
        return TermQuery(vector, {**rarity, **query.idf}, added, query.foreign)

    def words(self, text: str) -> dict[int, str]:
        """Map each term of a text to the first word that it stands for."""
        return self._bm25.words(text, self._languages)

    def matches(self, question: str, text: str) -> Iterator[tuple[int, int]]:
        """Find the words of a text that share a term with the question: offsets, half-open."""
        return self._bm25.matches(question, text, self._languages)

    def _added_words(
        self, query: TermQuery, expanded: SparseVector, chunks: Sequence[Chunk]
    ) -> dict[int, str]:
        own = set(query.vector.indices)
        words: dict[int, str] = {}
        for chunk in chunks:
            words = self.words(chunk.encoded_text) | words
        return {t: words[t] for t in expanded.indices if t not in own and t in words}


def coverage(score: float, total_idf: float) -> float:
    """Normalise a BM25 score by the rarity of the question's terms.

    Parameters
    ----------
    total_idf
        Sum of the inverse document frequencies of the question's terms, including terms that no
        passage contains: a question whose words the collection does not know trusts BM25 less.

    Returns
    -------
    float
        About 1 for a passage of mean length that has every term once; 0 for one without any;
        at most ``k1 + 1``.
    """
    return score / total_idf if total_idf else 0.0


def candidate_terms(passages: Sequence[SparseVector]) -> list[int]:
    """Choose the terms whose rarity is worth looking up: those that several passages share first.

    Ordered by in how many passages they are, then by their summed weight, then by number.
    """
    sums: dict[int, tuple[int, float]] = {}
    for passage in passages:
        for term, weight in zip(passage.indices, passage.values, strict=True):
            count, total = sums.get(term, (0, 0.0))
            sums[term] = (count + 1, total + weight)
    ranked = sorted(sums, key=lambda term: (-sums[term][0], -sums[term][1], term))
    return ranked[:_MOST_LOOKED_UP]


def expanded(
    question: SparseVector,
    passages: Sequence[SparseVector],
    idf: Mapping[int, float],
    weight: float,
) -> SparseVector:
    """Mix a question's terms with those that tell the passages from the rest of the collection.

    Parameters
    ----------
    idf
        Of the terms that may be added.

    Returns
    -------
    SparseVector
        Weights add up to 1: ``1 - weight`` spread over the question's own terms, ``weight`` over at
        most 20 terms of the passages, in proportion to their mean BM25 share.
    """
    share: dict[int, float] = {}
    for passage in passages:
        for term, value in zip(passage.indices, passage.values, strict=True):
            if term in idf:
                share[term] = share.get(term, 0.0) + value * idf[term]
    best = sorted(share, key=lambda term: (-share[term], term))[:MOST_TERMS]
    total = sum(share[term] for term in best)
    if not total or not question.indices:
        return question
    asked = sum(question.values)
    mixed = {
        term: (1 - weight) * value / asked
        for term, value in zip(question.indices, question.values, strict=True)
    }
    for term in best:
        mixed[term] = mixed.get(term, 0.0) + weight * share[term] / total
    return SparseVector(tuple(mixed), tuple(mixed.values()))
