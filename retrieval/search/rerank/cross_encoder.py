"""A cross-encoder: a model that reads question and passage together."""

from collections.abc import Sequence
from typing import Self

from twotower.retrieval.legs.protocol import Models
from twotower.retrieval.models.encoder import Encoder, PairScorer
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import ConfigurationError


class CrossEncoder:
    """Any sentence-transformers `CrossEncoder` with one output.

    Parameters
    ----------
    scorer
        The model's network.

    Notes
    -----
    Nogueira and Cho, 'Passage Re-ranking with BERT' (2019), arXiv 1901.04085.
    """

    def __init__(self, scorer: PairScorer) -> None:
        self._scorer = scorer

    @classmethod
    def create(cls, encoder: Encoder, models: Models) -> Self:
        """See `RerankerType.create`."""
        del encoder
        return cls(models.pair_scorer())

    def scores(self, question: str, chunks: Sequence[Chunk]) -> list[float]:
        """See `Reranker.scores`; on the model's own scale.

        Raises
        ------
        ConfigurationError
            If the model has more than one output.
        """
        if not chunks:
            return []
        scores = self._scorer.score([(question, chunk.encoded_text) for chunk in chunks])
        if scores.shape != (len(chunks),):
            raise ConfigurationError(
                f"the cross-encoder returned scores of shape {scores.shape} for {len(chunks)} "
                "passages: choose a model with one output (num_labels=1) in TWOTOWER_CROSS_ENCODER"
            )
        return [float(score) for score in scores]
