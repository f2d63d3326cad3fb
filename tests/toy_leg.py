"""A third leg, added from outside of the package: a second dense vector, of hashed words.

This module and one line, ``LEGS["words"] = WordsLeg``, are all that it takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from twotower.retrieval.index.card import LegCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.store.protocol import VectorQuery
from twotower.retrieval.legs.protocol import LegQuery, Models
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.filters import Filter
from twotower.retrieval.vocabulary.vectors import Vectors, unit_rows

DIMENSION = 128


@dataclass(frozen=True, slots=True)
class WordsQuery:
    vector: Vectors
    trust: float = 1.0

    def search(self, name: str, where: Filter) -> VectorQuery:
        return VectorQuery(name, self.vector, where)

    def normalise(self, score: float) -> float:
        return score


class WordsLeg:
    def __init__(self, card: LegCard) -> None:
        self.card = card

    @classmethod
    def create(cls, name: str, models: Models, texts: Sequence[str]) -> Self:
        del texts
        return cls(LegCard(name, "dense", DIMENSION, cls.fingerprint(models), {"made by": "words"}))

    @classmethod
    def open(cls, card: LegCard, models: Models) -> Self:
        del models
        return cls(card)

    @classmethod
    def fingerprint(cls, models: Models) -> str:
        del models
        return f"hashed words, {DIMENSION} dimensions"

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        rows = np.full((len(texts), DIMENSION), 1e-3, dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[sum(word.encode()) % DIMENSION] += 1.0
        return unit_rows(rows)

    def encode_questions(self, texts: Sequence[str], collection: Collection) -> list[WordsQuery]:
        return [WordsQuery(row) for row in self.encode_passages(texts)]

    def expand(
        self, query: LegQuery, chunks: Sequence[Chunk], collection: Collection, weight: float
    ) -> LegQuery:
        return query
