"""A cross-encoder: a model that reads question and passage together."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retrieval.encoder import load_network
from retrieval.errors import ConfigurationError
from retrieval.types import Chunk

if TYPE_CHECKING:
    import sentence_transformers


class CrossEncoder:
    """Any sentence-transformers `CrossEncoder` with one output, from a local folder.

    Parameters
    ----------
    name, folder
        As the settings call it, and where its files are.
    batch_size
        Pairs in one forward pass.

    Notes
    -----
    Nogueira and Cho, 'Passage Re-ranking with BERT' (2019), arXiv 1901.04085.
    """

    def __init__(
        self, name: str, folder: Path, batch_size: int = 16, trust_remote_code: bool = False
    ) -> None:
        self._name = name
        self._folder = folder
        self._batch_size = batch_size
        self._trust_remote_code = trust_remote_code

    def scores(self, question: str, chunks: Sequence[Chunk]) -> list[float]:
        """See `Reranker.scores`; on the model's own scale."""
        if not chunks:
            return []
        pairs = [(question, chunk.encoded_text) for chunk in chunks]
        scores = np.asarray(
            self._network.predict(pairs, batch_size=self._batch_size, show_progress_bar=False)
        )
        if scores.shape != (len(chunks),):
            raise ConfigurationError(
                f"cross-encoder {self._name} gives scores of shape {scores.shape} for "
                f"{len(chunks)} passages: it needs one output (num_labels=1)"
            )
        return [float(score) for score in scores]

    @cached_property
    def _network(self) -> "sentence_transformers.CrossEncoder":
        from sentence_transformers import CrossEncoder as Network  # noqa: PLC0415 - 5 to 10 s

        network: sentence_transformers.CrossEncoder = load_network(
            Network, "cross-encoder", self._name, self._folder, self._trust_remote_code
        )
        return network
