"""What a search returns: a `SearchResult` with its hits, and the evidence for their ranks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.vocabulary.documents import Chunk, Provenance
from twotower.retrieval.vocabulary.ranking import LegName


class LegScore(NamedTuple):
    """A hit's rank and score in one leg.

    Attributes
    ----------
    rank
        From 1; ``None`` where the passage was not among the leg's candidates, and its score was
        looked up by its id.
    score
        The engine's score: a cosine in [-1, 1], or a BM25 score of at least 0.
    """

    rank: int | None
    score: float


@dataclass(frozen=True, slots=True)
class TermWeight:
    """What one term of the query adds to a passage's BM25 score.

    The score is ``query_weight * idf * weight``.

    Attributes
    ----------
    term
        The word of the question.
    query_weight
        The term's weight in the query: 1, or less where feedback added the term.
    idf
        Inverse document frequency in this collection, also of a term that no passage contains.
    weight
        The passage's saturated, length-normalised frequency of the term; 0 where it is absent.
    """

    term: str
    query_weight: float
    idf: float
    weight: float

    @property
    def score(self) -> float:
        """The term's share of the BM25 score."""
        return self.query_weight * self.idf * self.weight


@dataclass(frozen=True, slots=True)
class Sentence:
    """A stretch of a passage, ``[start, end)`` in its text, and its cosine to the question."""

    start: int
    end: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The numbers behind a hit's score; they add up.

    Attributes
    ----------
    parts
        For each leg, its weight and the normalised score: their product is its share of the fused
        score. Empty for a fusion that has no common scale.
    background
        Mean and standard deviation of the question's cosine with a sample of the collection;
        ``None`` where the fusion does not use them.
    question_idf
        Sum of ``query_weight * idf`` over the question's terms, by which BM25 scores are divided.
    terms
        The question's terms, the one with the highest score first.
    closest
        The sentence that is closest to the question.
    added
        Terms that pseudo-relevance feedback added to the query, with their weights.
    """

    parts: Mapping[LegName, tuple[float, float]]
    background: tuple[float, float] | None
    question_idf: float
    terms: tuple[TermWeight, ...]
    closest: Sentence | None
    added: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Reranked:
    """A reranker's score for a hit, and the number of ranks that the hit moved up (or down)."""

    score: float
    rank_change: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the hits answer the question.

    Attributes
    ----------
    answerable
        ``"unknown"`` where the collection was never calibrated.
    probability
        Probability that they do, in [0, 1]; ``None`` where unknown.
    features
        The values that the judgement is based on: see `search.abstention`.
    """

    answerable: Literal["true", "false", "unknown"] = "unknown"
    probability: float | None = None
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """A ranked passage, with the evidence for its rank.

    Attributes
    ----------
    rank
        From 1.
    score
        The score that the order follows: the leg's own score, the fused one, or the one after
        reranking. Higher is better; scores of different questions cannot be compared.
    legs
        Rank and score in each leg; ``None`` where the leg did not run, or the passage contains
        none of the terms.
    fused
        The score before reranking.
    reranked
        ``None`` where the passage was not reranked.
    before, after
        The neighbouring chunks in the document, as many as the options request.
    copies
        Other places with the same text under the same headings, best first, as far as they are
        among the candidates.
    outdated
        Why the file could not be read when it was last ingested, so that the passage is from an
        earlier content; empty where it is from the present one.
    """

    rank: int
    score: float
    chunk: Chunk
    legs: Mapping[LegName, LegScore | None]
    fused: float = 0.0
    reranked: Reranked | None = None
    explanation: Explanation | None = None
    before: tuple[Chunk, ...] = ()
    after: tuple[Chunk, ...] = ()
    copies: tuple[Provenance, ...] = ()
    outdated: str = ""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of one search.

    Attributes
    ----------
    question
        The question as it was searched, without surrounding white space.
    options
        The options that were used.
    hits
        At most ``options.limit`` hits, best first.
    judgement
        Whether the hits answer the question.
    ignored_phrases
        Texts in quotes that no passage contains, so that the search did not require them.
    question_map
        Version of the question map that the question's vector went through, if any.
    out_of_time
        True where reranking stopped early, because its time was up.
    seconds
        Duration of the search.
    """

    question: str
    options: SearchOptions
    hits: tuple[Hit, ...]
    judgement: Judgement = field(default_factory=Judgement)
    ignored_phrases: tuple[str, ...] = ()
    question_map: int | None = None
    out_of_time: bool = False
    seconds: float = 0.0
