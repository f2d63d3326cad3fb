"""A cross-encoder: a model that reads question and passage together."""

from collections.abc import Callable, Sequence

from retrieval.encoder import PairScorer
from retrieval.errors import ConfigurationError
from retrieval.types import Chunk


class CrossEncoder:
    """Any sentence-transformers `CrossEncoder` with one output.

    Parameters
    ----------
    name
        As the settings call it.
    scorer
        Makes its network when it is first needed.

    Notes
    -----
    Nogueira and Cho, 'Passage Re-ranking with BERT' (2019), arXiv 1901.04085.
    """

    def __init__(self, name: str, scorer: Callable[[], PairScorer]) -> None:
        self._name = name
        self._scorer = scorer

    def scores(self, question: str, chunks: Sequence[Chunk]) -> list[float]:
        """See `Reranker.scores`; on the model's own scale."""
        if not chunks:
            return []
        scores = self._scorer().score([(question, chunk.encoded_text) for chunk in chunks])
        if scores.shape != (len(chunks),):
            raise ConfigurationError(
                f"cross-encoder {self._name} gives scores of shape {scores.shape} for "
                f"{len(chunks)} passages: it needs one output (num_labels=1)"
            )
        return [float(score) for score in scores]
