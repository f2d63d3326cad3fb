"""Several vectors for one passage: the whole, its title, its questions; the best one counts."""

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Self

import numpy as np

from twotower.retrieval.index.card import EncoderCard, LegCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.legs.protocol import LegQuery, Models
from twotower.retrieval.legs.standing_out import StandingOutQuery, background, scores_of
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.vectors import Vectors

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_SAMPLE = 256
_MOST = 8  # views of one passage


class ViewsLeg:
    """A multi-vector of the collection's encoder: one row for each view of a passage.

    Notes
    -----
    Luan et al., 'Sparse, Dense, and Attentional Representations for Text Retrieval' (TACL 2021),
    arXiv 2005.00181: several vectors a passage, and the best one counts (ME-BERT). The views here
    are parts of the text: nothing has to be trained.
    """

    def __init__(self, card: LegCard, encoder: Encoder) -> None:
        self.card = card
        self._encoder = encoder
        self._sample: list[Vectors] | None = None

    @classmethod
    def create(cls, name: str, models: Models, texts: Sequence[str]) -> Self:
        """See `LegType.create`."""
        del texts
        encoder = models.encoder()
        made_by = asdict(EncoderCard.of(encoder.model, encoder.dimension))
        card = LegCard(
            name, "multi", encoder.dimension, cls.fingerprint(models), {**made_by, "views": _MOST}
        )
        return cls(card, encoder)

    @classmethod
    def open(cls, card: LegCard, models: Models) -> Self:
        """See `LegType.open`."""
        made_by = {name: value for name, value in card.made_by.items() if name != "views"}
        return cls(card, models.encoder(EncoderCard(**made_by)))

    @classmethod
    def fingerprint(cls, models: Models) -> str:
        """See `LegType.fingerprint`."""
        return f"{_MOST} views of {models.encoder().model.fingerprint}"

    def encode_passages(self, texts: Sequence[str]) -> list[Vectors]:
        """See `Leg.encode_passages`: (views, d) float32 for each text, unit rows."""
        views = [views_of(text) for text in texts]
        rows = self._encoder.encode_passages([view for each in views for view in each])
        ends = np.cumsum([len(each) for each in views])
        return np.split(rows, ends[:-1]) if len(ends) else []

    def encode_questions(
        self, texts: Sequence[str], collection: Collection
    ) -> list[StandingOutQuery[Vectors]]:
        """See `Leg.encode_questions`: a multi-vector of one row."""
        if not texts:
            return []
        return [self._query(row, collection) for row in self._encoder.encode_questions(texts)]

    def expand(
        self, query: LegQuery, chunks: Sequence[Chunk], collection: Collection, weight: float
    ) -> StandingOutQuery[Vectors]:
        """See `Leg.expand`: Rocchio's formula over the first view of each passage."""
        from twotower.retrieval.legs.dense import rocchio  # noqa: PLC0415 - only with feedback

        assert isinstance(query, StandingOutQuery)  # it came from this leg
        found = collection.vectors(self.card.name, [chunk.id for chunk in chunks])
        rows = [found[chunk.id][0] for chunk in chunks if chunk.id in found]
        moved = rocchio(np.asarray(query.vector)[0], rows, weight)
        return replace(self._query(moved, collection), trust=query.trust)

    def _query(self, row: Vectors, collection: Collection) -> StandingOutQuery[Vectors]:
        if self._sample is None:
            ids = collection.some_ids(_SAMPLE)
            found = collection.vectors(self.card.name, ids)
            self._sample = [found[id] for id in ids if id in found]
        vector = row[None, :]
        return StandingOutQuery(vector, background(scores_of(vector, self._sample)))


def views_of(text: str) -> list[str]:
    """Return a text, its first line, which is a title or a heading, and its questions."""
    lines = text.split("\n")
    questions = [s.strip() for s in _SENTENCE.split(text) if s.rstrip().endswith("?")]
    views = [text, *(lines[:1] if len(lines) > 1 else ()), *questions]
    return list(dict.fromkeys(view for view in views if view.strip()))[:_MOST] or [text]
