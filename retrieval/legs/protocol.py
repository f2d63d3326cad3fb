"""What a leg offers to ingestion and to search, and what it needs from the program."""

from collections.abc import Sequence
from typing import Protocol

from twotower.retrieval.index.card import EncoderCard, LegCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.store.protocol import VectorQuery
from twotower.retrieval.models.encoder import Encoder, LegEncoder, PairScorer
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.filters import Filter
from twotower.retrieval.vocabulary.ranking import LegName
from twotower.retrieval.vocabulary.vectors import Rows, Vector


class Models(Protocol):
    """The models of this program; each is loaded when it is first used."""

    @property
    def language(self) -> str:
        """Language of BM25's stemmer and stop words in a new collection."""

    def encoder(self, card: EncoderCard | None = None) -> Encoder:
        """Return the encoder that a card names; without a card, the one in the settings."""

    @property
    def prefix_dimension(self) -> int:
        """Length of the vectors of the leg ``short`` in a new collection; 0 is a quarter."""

    def leg_encoder(self, leg: str, card: EncoderCard | None = None) -> LegEncoder:
        """Return the model of a leg with one of its own; without a card, that of the settings."""

    def pair_scorer(self) -> PairScorer:
        """Return the network of the cross-encoder in the settings."""


class LegQuery(Protocol):
    """A question, encoded for one leg."""

    @property
    def vector(self) -> Vector:
        """The vector that is searched for."""

    def search(self, name: LegName, where: Filter) -> VectorQuery:
        """Return the search of the store that answers the question."""

    @property
    def trust(self) -> float:
        """Share of the weight of the leg that counts for this question.

        It is below 1 where the model of the leg does not know the words of the question.
        """

    def normalise(self, score: float) -> float:
        """Put a score of this leg on the common scale of the legs.

        The scale does not depend on the other candidates: about 1 is a good hit, 0 is a passage
        that has nothing to do with the question.
        """


class Leg(Protocol):
    """One leg of one collection."""

    @property
    def card(self) -> LegCard:
        """The leg's entry in the index card: its named vector, and what made it."""

    def encode_passages(self, texts: Sequence[str]) -> Rows:
        """Make the vectors of passages, in their order."""

    def encode_questions(self, texts: Sequence[str], collection: Collection) -> Sequence[LegQuery]:
        """Encode questions, in their order; the collection gives the statistics of its scores."""

    def expand(
        self, query: LegQuery, chunks: Sequence[Chunk], collection: Collection, weight: float
    ) -> LegQuery:
        """Move a query towards the given chunks of the collection (pseudo-relevance feedback).

        Parameters
        ----------
        weight
            Weight of the chunks in the new query, from 0 to 1.
        """


class LegType(Protocol):
    """An entry of the registry: a class of legs."""

    def create(self, name: str, models: Models, texts: Sequence[str]) -> Leg:
        """Make the leg of a new collection; ``texts`` are its first passages."""

    def open(self, card: LegCard, models: Models) -> Leg:
        """Make the leg that a card describes."""

    def fingerprint(self, models: Models) -> str:
        """Return the fingerprint of the leg of a new collection, without loading a model."""
