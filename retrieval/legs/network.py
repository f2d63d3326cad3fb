"""Legs with a model of their own: ColBERT's vectors of tokens, and SPLADE's weights of words."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np

from twotower.retrieval.index.card import EncoderCard, LegCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.legs.protocol import LegQuery, Models
from twotower.retrieval.legs.standing_out import StandingOutQuery, background, scores_of
from twotower.retrieval.models.encoder import LegEncoder
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.vectors import SparseVector, Vector, VectorKind

_SAMPLE = 64  # passages whose scores show what an unrelated passage scores


class NetworkLeg:
    """A leg over the vectors of one model, which its settings or its card name."""

    kind: ClassVar[VectorKind]
    name: ClassVar[str]  # in the registry, and in the settings

    def __init__(self, card: LegCard, encoder: LegEncoder) -> None:
        self.card = card
        self._encoder = encoder
        self._sample: list[Vector] | None = None

    @classmethod
    def create(cls, name: str, models: Models, texts: Sequence[str]) -> Self:
        """See `LegType.create`."""
        del texts
        encoder = models.leg_encoder(name)
        made_by = EncoderCard.of(encoder.model, encoder.dimension)
        dimension = encoder.dimension if cls.kind == "multi" else None
        card = LegCard(
            name, cls.kind, dimension, made_by.fingerprint, {**asdict(made_by), "leg": name}
        )
        return cls(card, encoder)

    @classmethod
    def open(cls, card: LegCard, models: Models) -> Self:
        """See `LegType.open`."""
        made_by = {name: value for name, value in card.made_by.items() if name != "leg"}
        return cls(card, models.leg_encoder(str(card.made_by["leg"]), EncoderCard(**made_by)))

    @classmethod
    def fingerprint(cls, models: Models) -> str:
        """See `LegType.fingerprint`."""
        return models.leg_encoder(cls.name).model.fingerprint

    def encode_passages(self, texts: Sequence[str]) -> list[Vector]:
        """See `Leg.encode_passages`."""
        return list(self._encoder.encode_passages(texts))

    def encode_questions(
        self, texts: Sequence[str], collection: Collection
    ) -> list[StandingOutQuery[Any]]:
        """See `Leg.encode_questions`."""
        if self._sample is None:
            ids = collection.some_ids(_SAMPLE)
            found = collection.vectors(self.card.name, ids)
            self._sample = [found[id] for id in ids if id in found]
        return [
            StandingOutQuery(vector, background(scores_of(vector, self._sample)))
            for vector in self._encoder.encode_questions(texts)
        ]

    def expand(
        self, query: LegQuery, chunks: Sequence[Chunk], collection: Collection, weight: float
    ) -> StandingOutQuery[Any]:
        """See `Leg.expand`: the question stays as it is, unless the leg says otherwise."""
        del chunks, collection, weight
        assert isinstance(query, StandingOutQuery)  # it came from this leg
        return query


class ColbertLeg(NetworkLeg):
    """One vector for each token; each token of the question counts by its best match (MaxSim).

    Notes
    -----
    Khattab and Zaharia, 'ColBERT' (SIGIR 2020), equation 3; Qdrant computes it.
    """

    kind = "multi"
    name = "colbert"


class SpladeLeg(NetworkLeg):
    """Weights of the vocabulary's words, also of words that a text does not have.

    Notes
    -----
    Formal et al., 'SPLADE' (SIGIR 2021), arXiv 2107.05720.
    """

    kind = "weighted"
    name = "splade"

    def expand(
        self, query: LegQuery, chunks: Sequence[Chunk], collection: Collection, weight: float
    ) -> StandingOutQuery[Any]:
        """See `Leg.expand`: add the passages' mean weights, scaled to the question's."""
        assert isinstance(query, StandingOutQuery)  # it came from this leg
        assert isinstance(query.vector, SparseVector)  # by this leg's kind
        found = collection.vectors(self.card.name, [chunk.id for chunk in chunks])
        sums: dict[int, float] = {}
        for passage in found.values():
            for term, value in zip(passage.indices, passage.values, strict=True):
                sums[term] = sums.get(term, 0.0) + value
        if not sums or not query.vector.indices:
            return query
        share = weight * sum(query.vector.values) / sum(sums.values())
        mixed = {
            term: (1 - weight) * value
            for term, value in zip(query.vector.indices, query.vector.values, strict=True)
        }
        for term, value in sums.items():
            mixed[term] = mixed.get(term, 0.0) + share * value
        vector = SparseVector(tuple(mixed), tuple(np.float32(v).item() for v in mixed.values()))
        return StandingOutQuery(vector, query.background)
