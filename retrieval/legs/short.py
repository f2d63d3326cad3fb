"""The adaptive leg: a few numbers of each dense vector find candidates, all of them score them."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Self

import numpy as np

from twotower.retrieval.index.card import EncoderCard, LegCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.store.protocol import VectorQuery
from twotower.retrieval.legs.dense import DenseLeg
from twotower.retrieval.legs.protocol import LegQuery, Models
from twotower.retrieval.legs.standing_out import StandingOutQuery
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.models.packed import pack, unpack
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import IndexMismatch
from twotower.retrieval.vocabulary.vectors import Vectors, unit_rows

_FULL = "dense"
_SHARE = 4  # the default length is a quarter of the vector
_OVERSAMPLING = 4  # candidates for each passage that is wanted
_SAMPLE = 1000  # passages whose directions are measured
_ROTATION = ("levels", "scales")


class ShortLeg:
    """Search by a short form of the dense vectors, in place of the leg ``dense`` in hybrid search.

    The short form is the vector in the directions in which the collection's first passages differ
    most: their principal components. All of them would be a rotation, which keeps every dot
    product. Its candidates are scored by the whole vectors in the same request, so that its hits
    are those of ``dense`` as long as the short form finds them.

    Notes
    -----
    Kusupati et al., 'Matryoshka Representation Learning' (NeurIPS 2022), section 4.3.1: adaptive
    retrieval. The rotation gives any encoder what they train one for; `benchmarks.matryoshka`
    compares both.
    """

    def __init__(self, card: LegCard, encoder: Encoder, models: Models) -> None:
        self.card = card
        self._encoder = encoder
        self._models = models
        self._full: DenseLeg | None = None
        levels, scales = (str(card.made_by[name]) for name in _ROTATION)
        self._directions = unpack(levels, scales)

    @classmethod
    def create(cls, name: str, models: Models, texts: Sequence[str]) -> Self:
        """See `LegType.create`; the first passages decide the directions."""
        encoder = models.encoder()
        length = min(models.prefix_dimension or encoder.dimension // _SHARE, encoder.dimension)
        levels, scales = pack(directions(encoder.encode_passages(texts[:_SAMPLE]), length))
        made_by = asdict(EncoderCard.of(encoder.model, encoder.dimension))
        digest = hashlib.sha256((levels + scales).encode()).hexdigest()
        card = LegCard(
            name,
            "dense",
            length,
            f"{cls.fingerprint(models)} {digest[:16]}",
            {**made_by, "prefix_of": _FULL, "levels": levels, "scales": scales},
        )
        return cls(card, encoder, models)

    @classmethod
    def open(cls, card: LegCard, models: Models) -> Self:
        """See `LegType.open`."""
        made_by = {n: v for n, v in card.made_by.items() if n not in ("prefix_of", *_ROTATION)}
        return cls(card, models.encoder(EncoderCard(**made_by)), models)

    @classmethod
    def fingerprint(cls, models: Models) -> str:
        """See `LegType.fingerprint`."""
        return f"{models.prefix_dimension or 'a quarter'} of {models.encoder().model.fingerprint}"

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See `Leg.encode_passages`: (n, d) float32, unit rows."""
        return unit_rows(self._encoder.encode_passages(texts) @ self._directions.T)

    def encode_questions(
        self, texts: Sequence[str], collection: Collection
    ) -> list[StandingOutQuery[Vectors]]:
        """See `Leg.encode_questions`."""
        dense = self._dense(collection)
        return [self._adaptive(query) for query in dense.encode_questions(texts, collection)]

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
        short = unit_rows((self._directions @ query.vector)[None, :])[0]
        first = VectorQuery(self.card.name, short)
        return replace(query, among=(first, _OVERSAMPLING), name=_FULL)


def directions(vectors: Vectors, length: int) -> Vectors:
    """Return the directions in which vectors differ most: (length, d) float32, orthonormal rows.

    Parameters
    ----------
    vectors
        (n, d); with fewer than ``length`` of them, the remaining directions are arbitrary.
    """
    rows = vectors if len(vectors) else np.eye(vectors.shape[1], dtype=np.float32)
    _, _, rotation = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=True)
    found: Vectors = np.ascontiguousarray(rotation[:length], dtype=np.float32)
    return found
