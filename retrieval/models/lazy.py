"""An encoder that is found and loaded when it is first used, and guarded by its fingerprint."""

import threading
from collections.abc import Callable, Sequence
from functools import cached_property

from twotower.retrieval.models.encoder import Encoder, PairScorer
from twotower.retrieval.models.model_folder import ModelFolder
from twotower.retrieval.vocabulary.vectors import Vectors


class LazyEncoder:
    """An `Encoder` that costs nothing until it encodes: a BM25 search never loads a model.

    Parameters
    ----------
    find
        Function that returns the model's folder, or raises where the model is missing or is not
        the right one. It is called once, before anything is loaded.
    load
        Function that loads the encoder from its folder.
    """

    def __init__(
        self, find: Callable[[], ModelFolder], load: Callable[[ModelFolder], Encoder]
    ) -> None:
        self._find = find
        self._load = load
        self._loaded: Encoder | None = None
        self._last: tuple[tuple[str, ...], Vectors] | None = None
        self._lock = threading.Lock()

    @cached_property
    def model(self) -> ModelFolder:
        """See `Encoder.model`."""
        return self._find()

    @property
    def dimension(self) -> int:
        """See `Encoder.dimension`."""
        return self.loaded().dimension

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode_questions`."""
        return self.loaded().encode_questions(texts)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode_passages`.

        The last answer is kept: two legs of one encoder ask for the same passages in turn.
        """
        key = tuple(texts)
        last = self._last
        if last is None or last[0] != key:
            last = self._last = key, self.loaded().encode_passages(texts)
        return last[1]

    def question_tokens(self, text: str) -> Vectors:
        """See `Encoder.question_tokens`."""
        return self.loaded().question_tokens(text)

    def passage_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """See `Encoder.passage_tokens`."""
        return self.loaded().passage_tokens(texts)

    def loaded(self) -> Encoder:
        """Return the encoder itself, which is loaded now if it was not; by one thread only."""
        if self._loaded is None:
            with self._lock:
                if self._loaded is None:
                    self._loaded = self._load(self.model)
        return self._loaded


class LazyPairScorer:
    """A `PairScorer` that is loaded when it first scores.

    Parameters
    ----------
    load
        Function that finds and loads the network.
    """

    def __init__(self, load: Callable[[], PairScorer]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._loaded: PairScorer | None = None

    def score(self, pairs: Sequence[tuple[str, str]]) -> Vectors:
        """See `PairScorer.score`."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
        return self._loaded.score(pairs)
