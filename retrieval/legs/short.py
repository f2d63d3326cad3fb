"""The adaptive leg: a prefix of each dense vector finds candidates, all of it scores them."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Self

from twotower.retrieval.index.card import EncoderCard, LegCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.store.protocol import VectorQuery
from twotower.retrieval.legs.dense import DenseLeg
from twotower.retrieval.legs.protocol import LegQuery, Models
from twotower.retrieval.legs.standing_out import StandingOutQuery
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import IndexMismatch
from twotower.retrieval.vocabulary.vectors import Vectors, unit_rows

_FULL = "dense"
_SHARE = 4  # the default prefix is a quarter of the vector
_OVERSAMPLING = 4  # candidates for each passage that is wanted


class ShortLeg:
    """Search by a prefix of the dense vectors, in place of the leg ``dense`` in hybrid search.

    Its scores are those of the whole vectors, so that its hits are those of ``dense`` as long as
    the prefix finds them. Train an encoder for it with the recipe ``matryoshka``.

    Notes
    -----
    Kusupati et al., 'Matryoshka Representation Learning' (NeurIPS 2022), section 4.3.1: adaptive
    retrieval.
    """

    def __init__(self, card: LegCard, encoder: Encoder, models: Models) -> None:
        self.card = card
        self._encoder = encoder
        self._models = models
        self._full: DenseLeg | None = None

    @classmethod
    def create(cls, name: str, models: Models, texts: Sequence[str]) -> Self:
        """See `LegType.create`."""
        del texts
        encoder = models.encoder()
        made_by = EncoderCard.of(encoder.model, encoder.dimension)
        length = models.prefix_dimension or encoder.dimension // _SHARE
        card = LegCard(
            name,
            "dense",
            min(length, encoder.dimension),
            cls.fingerprint(models),
            {**asdict(made_by), "prefix_of": _FULL},
        )
        return cls(card, encoder, models)

    @classmethod
    def open(cls, card: LegCard, models: Models) -> Self:
        """See `LegType.open`."""
        made_by = {name: value for name, value in card.made_by.items() if name != "prefix_of"}
        return cls(card, models.encoder(EncoderCard(**made_by)), models)

    @classmethod
    def fingerprint(cls, models: Models) -> str:
        """See `LegType.fingerprint`."""
        return f"{models.prefix_dimension or 'quarter'} of {models.encoder().model.fingerprint}"

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See `Leg.encode_passages`: (n, d) float32, unit rows."""
        return unit_rows(self._encoder.encode_passages(texts)[:, : self.card.dimension])

    def encode_questions(
        self, texts: Sequence[str], collection: Collection
    ) -> list[StandingOutQuery[Vectors]]:
        """See `Leg.encode_questions`."""
        return [
            self._adaptive(q) for q in self._dense(collection).encode_questions(texts, collection)
        ]

    def expand(
        self, query: LegQuery, chunks: Sequence[Chunk], collection: Collection, weight: float
    ) -> StandingOutQuery[Vectors]:
        """See `Leg.expand`: as the leg ``dense`` does."""
        return self._adaptive(self._dense(collection).expand(query, chunks, collection, weight))

    def _dense(self, collection: Collection) -> DenseLeg:
        if self._full is None:
            card = collection.card().leg(_FULL)
            if card is None:
                raise IndexMismatch(
                    f"collection '{collection.name}' has the leg '{self.card.name}', but not the "
                    f"leg '{_FULL}' that it searches for: run `twotower reindex` with "
                    "TWOTOWER_LEGS=dense,bm25"
                )
            self._full = DenseLeg.open(card, self._models)
        return self._full

    def _adaptive(self, query: StandingOutQuery[Vectors]) -> StandingOutQuery[Vectors]:
        prefix = unit_rows(query.vector[None, : self.card.dimension])[0]
        first = VectorQuery(self.card.name, prefix)
        return replace(query, among=(first, _OVERSAMPLING), name=_FULL)
