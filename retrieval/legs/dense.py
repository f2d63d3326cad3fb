"""The dense leg: one vector of the encoder for each passage, compared by the cosine."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from tokenizers import Tokenizer

from twotower.retrieval.index.card import EncoderCard, LegCard, dense_leg
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.legs.protocol import LegQuery, Models
from twotower.retrieval.legs.standing_out import StandingOutQuery, background
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.models.legibility import is_latin, is_legible
from twotower.retrieval.models.model_folder import load_tokenizer
from twotower.retrieval.models.question_map import mapped
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.vectors import Vectors

_SAMPLE = 256  # passages whose cosines show what an unrelated passage scores
_TRUST_IN_LETTERS = 0.05  # orders what no other leg finds


class DenseLeg:
    """A leg over the vectors of one encoder.

    Parameters
    ----------
    card
        The leg's entry in the index card.
    encoder
        Loaded when it first encodes.
    """

    def __init__(self, card: LegCard, encoder: Encoder) -> None:
        self.card = card
        self._encoder = encoder
        self._map = card.question_map
        self._matrix: Vectors | None = None
        self._sample: Vectors | None = None
        self._tokenizer: Tokenizer | None = None

    @classmethod
    def create(cls, name: str, models: Models, texts: Sequence[str]) -> Self:
        """See `LegType.create`."""
        del texts
        encoder = models.encoder()
        return cls(dense_leg(EncoderCard.of(encoder.model, encoder.dimension), name), encoder)

    @classmethod
    def open(cls, card: LegCard, models: Models) -> Self:
        """See `LegType.open`."""
        return cls(card, models.encoder(EncoderCard(**card.made_by)))

    @classmethod
    def fingerprint(cls, models: Models) -> str:
        """See `LegType.fingerprint`."""
        return models.encoder().model.fingerprint

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See `Leg.encode_passages`: (n, d) float32, unit rows."""
        return self._encoder.encode_passages(texts)

    def encode_questions(
        self, texts: Sequence[str], collection: Collection
    ) -> list[StandingOutQuery[Vectors]]:
        """See `Leg.encode_questions`."""
        if not texts:
            return []
        rows = self._encoder.encode_questions(texts)
        if self._map is not None:
            if self._matrix is None:
                self._matrix = self._map.matrix
            rows = mapped(rows, self._matrix)
        return [
            self._query(row, collection, self._trust(text))
            for text, row in zip(texts, rows, strict=True)
        ]

    def moved(
        self, query: LegQuery, vector: Vectors, collection: Collection
    ) -> StandingOutQuery[Vectors]:
        """Return a query of this leg with another vector, as a map that is tried gives it."""
        return self._query(vector, collection, query.trust)

    def expand(
        self, query: LegQuery, chunks: Sequence[Chunk], collection: Collection, weight: float
    ) -> StandingOutQuery[Vectors]:
        """See `Leg.expand`: Rocchio's formula, see `rocchio`."""
        assert isinstance(query, StandingOutQuery)  # it came from this leg
        vectors = collection.vectors(self.card.name, [chunk.id for chunk in chunks])
        rows = [vectors[chunk.id] for chunk in chunks if chunk.id in vectors]
        return self._query(rocchio(query.vector, rows, weight), collection, query.trust)

    def _trust(self, question: str) -> float:
        if is_latin(question):
            return 1.0
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self._encoder.model.path)
        return 1.0 if is_legible(question, self._tokenizer) else _TRUST_IN_LETTERS

    def _query(
        self, vector: Vectors, collection: Collection, trust: float
    ) -> StandingOutQuery[Vectors]:
        if self._sample is None:
            self._sample = collection.sample(self.card.name, _SAMPLE)
        found = self._sample @ vector if len(self._sample) else self._sample
        return StandingOutQuery(vector, background(found), trust=trust)


def rocchio(query: Vectors, passages: Sequence[Vectors], weight: float) -> Vectors:
    """Move a unit vector towards the mean direction of others: (d,) float32, a unit vector.

    Notes
    -----
    Rocchio, 'Relevance Feedback in Information Retrieval' (1971).
    """
    if not passages:
        return query
    centre = np.mean(passages, axis=0)
    length = np.linalg.norm(centre)
    if not length:
        return query
    mixed = (1 - weight) * query + weight * (centre / length)
    unit: Vectors = (mixed / np.linalg.norm(mixed)).astype(np.float32)
    return unit
