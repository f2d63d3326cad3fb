"""Late interaction: every word of the question looks for its best match in the passage."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from retrieval.types import Chunk
from retrieval.vectors import Vectors

Tokens = NDArray[np.float16]


class TokenEncoder(Protocol):
    """An encoder that gives the vectors of single tokens as well."""

    def question_tokens(self, text: str) -> Vectors:
        """Encode a question: (tokens, d) float32, unit rows, without special tokens."""

    def passage_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """Encode passages: (tokens, d) float32 each, as above."""


class LateInteraction:
    """MaxSim over the token vectors of the encoder that searches: no second model.

    Parameters
    ----------
    encoder
        Makes the encoder when it is first needed.
    cache_bytes
        How much memory the token vectors of passages may take; the least recently used go first.

    Notes
    -----
    Khattab and Zaharia, 'ColBERT' (SIGIR 2020), equation 3, as a mean over the question's tokens
    in place of their sum, which makes scores lie in [-1, 1] whatever the question's length. The
    encoder was not trained for it, as ColBERT was.
    """

    def __init__(self, encoder: Callable[[], TokenEncoder], cache_bytes: int = 512 * 2**20) -> None:
        self._encoder = encoder
        self._cache_bytes = cache_bytes
        self._cached: OrderedDict[UUID, Tokens] = OrderedDict()
        self._bytes = 0
        self._question: tuple[str, Vectors] | None = None
        self._lock = threading.Lock()  # the cache is for one question at a time

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
            self._question = (question, self._encoder().question_tokens(question))
        return self._question[1]

    def _passage_tokens(self, chunks: Sequence[Chunk]) -> list[Tokens]:
        missing = {chunk.id: chunk for chunk in chunks if chunk.id not in self._cached}
        if missing:
            texts = [chunk.encoded_text for chunk in missing.values()]
            for id, rows in zip(missing, self._encoder().passage_tokens(texts), strict=True):
                # A passage without a token (an emoji, say) still has to be scored: as unlike all.
                kept = rows if len(rows) else np.zeros((1, rows.shape[1]), np.float32)
                self._cached[id] = kept.astype(np.float16)
                self._bytes += self._cached[id].nbytes
        for chunk in chunks:
            self._cached.move_to_end(chunk.id)
        passages = [self._cached[chunk.id] for chunk in chunks]
        while self._bytes > self._cache_bytes and self._cached:
            self._bytes -= self._cached.popitem(last=False)[1].nbytes
        return passages
