"""Late interaction: each token of the question is matched with its best token in the passage."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Self
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from twotower.retrieval.legs.protocol import Models
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.vectors import Vectors

Tokens = NDArray[np.float16]


class LateInteraction:
    """MaxSim over the token vectors of the collection's own encoder, without a second model.

    Parameters
    ----------
    cache_bytes
        Memory for the token vectors of passages; the least recently used ones are dropped first.

    Notes
    -----
    Khattab and Zaharia, 'ColBERT' (SIGIR 2020), equation 3, as a mean over the question's tokens
    in place of their sum, so that scores lie in [-1, 1] whatever the question's length. Unlike
    ColBERT, the encoder was not trained for it.
    """

    def __init__(self, encoder: Encoder, cache_bytes: int = 512 * 2**20) -> None:
        self._encoder = encoder
        self._cache_bytes = cache_bytes
        self._cached: OrderedDict[UUID, Tokens] = OrderedDict()
        self._bytes = 0
        self._question: tuple[str, Vectors] | None = None
        self._lock = threading.Lock()  # the cache serves one question at a time

    @classmethod
    def create(cls, encoder: Encoder, models: Models) -> Self:
        """See `RerankerType.create`."""
        del models
        return cls(encoder)

    def scores(self, question: str, chunks: Sequence[Chunk]) -> list[float]:
        """See `Reranker.scores`; in [-1, 1]."""
        if not chunks:
            return []
        with self._lock:
            tokens = self._question_tokens(question)
            passages = self._passage_tokens(chunks)
        if not len(tokens):
            return [0.0] * len(chunks)
        stacked = np.concatenate(passages).astype(np.float32)
        starts = np.cumsum([0, *(len(passage) for passage in passages[:-1])])
        best = np.maximum.reduceat(tokens @ stacked.T, starts, axis=1)
        return [float(score) for score in best.mean(axis=0)]

    def _question_tokens(self, question: str) -> Vectors:
        if self._question is None or self._question[0] != question:
            self._question = (question, self._encoder.question_tokens(question))
        return self._question[1]

    def _passage_tokens(self, chunks: Sequence[Chunk]) -> list[Tokens]:
        missing = {chunk.id: chunk for chunk in chunks if chunk.id not in self._cached}
        if missing:
            texts = [chunk.encoded_text for chunk in missing.values()]
            for id, rows in zip(missing, self._encoder.passage_tokens(texts), strict=True):
                # A passage without a token (an emoji, say) is scored as unlike every question.
                kept = rows if len(rows) else np.zeros((1, rows.shape[1]), np.float32)
                self._cached[id] = kept.astype(np.float16)
                self._bytes += self._cached[id].nbytes
        for chunk in chunks:
            self._cached.move_to_end(chunk.id)
        passages = [self._cached[chunk.id] for chunk in chunks]
        while self._bytes > self._cache_bytes and self._cached:
            self._bytes -= self._cached.popitem(last=False)[1].nbytes
        return passages
