"""The loss of a recipe's stage: one of sentence-transformers, or our own on the same terms."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from twotower.training import losses
from twotower.training.frequency import StreamingFrequency
from twotower.training.recipe import ModelTable, Stage

_LOSSES_OF_SCORES = {"bpr": losses.bpr, "hinge": losses.hinge}


def needs_own(stage: Stage) -> bool:
    """Whether sentence-transformers does not have the loss."""
    own = stage.loss.logq or stage.negatives.uniform or stage.negatives.bank
    return bool(own) or stage.loss.name in ("bpr", "hinge", "nce")


class BatchLoss(nn.Module):
    """Losses over the passages of a batch, with uniform negatives and those of earlier batches.

    Parameters
    ----------
    network
        A `SentenceTransformer`.
    relevant
        For each question by number, the passages that answer it: they are never its negatives.
    passages
        Number of passages in the collection.
    """

    def __init__(
        self, network: Any, stage: Stage, relevant: Sequence[frozenset[int]], passages: int
    ) -> None:
        super().__init__()
        self.model = network
        self._stage = stage
        self._relevant = relevant
        self._passages = passages
        self._frequency = StreamingFrequency()
        self._bank = losses.VectorBank(stage.negatives.bank) if stage.negatives.bank else None

    def forward(self, sentence_features: Sequence[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        sentence_features
            Columns: questions, their passages, their negatives, uniform negatives.
        labels
            (b, 1 + columns of passages) number of the question, then of each passage.
        """
        from sentence_transformers.base.losses.merged_forward import (  # noqa: PLC0415 - takes 5 s
            embed_columns,
        )

        questions, *columns = embed_columns(self.model, sentence_features)
        numbers, ids = labels[:, 0].tolist(), labels[:, 1:].T.reshape(-1)
        count = len(questions)
        if self.training:
            self._frequency.update(ids[:count].tolist())
        own = nn.functional.normalize(torch.cat(columns))
        vectors, all_ids = own, ids
        if self._bank is not None:
            vectors, all_ids = self._bank.extended(own, ids)
            self._bank.add(own[:count], ids[:count])
        scores = nn.functional.normalize(questions) @ vectors.T * self._stage.loss.scale
        scores = scores.masked_fill(self._false_negatives(numbers, all_ids), float("-inf"))
        return self._loss(scores, all_ids, count)

    def _false_negatives(self, numbers: Sequence[int], ids: Tensor) -> Tensor:
        columns = ids.tolist()
        rows = [[id in self._relevant[number] for id in columns] for number in numbers]
        mask = torch.tensor(rows, device=ids.device) | (ids[: len(numbers), None] == ids[None, :])
        mask.fill_diagonal_(False)
        return mask

    def _loss(self, scores: Tensor, ids: Tensor, count: int) -> Tensor:
        name = self._stage.loss.name
        if name in _LOSSES_OF_SCORES:
            return _LOSSES_OF_SCORES[name](scores)
        if name == "nce":
            return losses.nce(scores, self._probabilities(ids) / count)
        if self._stage.loss.logq:
            scores = scores - self._log_q(ids, count)
        return losses.sampled_softmax(scores)

    def _probabilities(self, ids: Tensor) -> Tensor:
        """Probability that a batch has each passage; one not seen yet is as rare as can be."""
        chances = torch.tensor(self._frequency.probabilities(ids.tolist()), device=ids.device)
        return chances.clamp(min=1 / self._passages).float()

    def _log_q(self, ids: Tensor, count: int) -> Tensor:
        uniform = self._stage.negatives.uniform
        chances = self._probabilities(ids)
        if not uniform:
            return chances.log()
        return losses.log_mixed(chances / count, count, 1 / self._passages, uniform)

    def state(self) -> dict[str, Any]:
        """Return what a resumed training needs beside the network."""
        return {"frequency": self._frequency, "bank": self._bank}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self._frequency, self._bank = state["frequency"], state["bank"]


def make_loss(
    network: Any,
    model: ModelTable,
    stage: Stage,
    relevant: Sequence[frozenset[int]],
    passages: int,
) -> nn.Module:
    """Make the loss of a stage; the parameters are those of `BatchLoss`."""
    made: nn.Module
    if needs_own(stage):
        made = BatchLoss(network, stage, relevant, passages)
    else:
        made = {
            "dense": _dense_loss,
            "colbert": _colbert_loss,
            "splade": _splade_loss,
            "reranker": _reranker_loss,
        }[model.kind](network, stage)
    if stage.loss.dimensions:
        from sentence_transformers.sentence_transformer.losses import (  # noqa: PLC0415 - takes 5 s
            MatryoshkaLoss,
        )

        made = MatryoshkaLoss(network, made, list(stage.loss.dimensions))
    return made


def _dense_loss(network: Any, stage: Stage) -> nn.Module:
    """In-batch softmax, triplet or distillation on one vector a text."""
    from sentence_transformers.sentence_transformer import losses as theirs  # noqa: PLC0415 - as above

    loss = stage.loss
    scaled = _Scaled(loss.scale)
    made: nn.Module
    if loss.name == "triplet":
        made = theirs.TripletLoss(
            network, theirs.TripletDistanceMetric.COSINE, triplet_margin=_TRIPLET_MARGIN
        )
    elif loss.name == "margin-mse":
        made = theirs.MarginMSELoss(network, similarity_fct=scaled)
    elif loss.name == "kl":
        made = theirs.DistillKLDivLoss(network, similarity_fct=scaled)
    else:
        directions: dict[str, Any] = {}
        if loss.directions == 2:  # noqa: PLR2004 - both directions
            directions = {
                "directions": ("query_to_doc", "doc_to_query"),
                "partition_mode": "per_direction",
            }
        if loss.cached:
            made = theirs.CachedMultipleNegativesRankingLoss(
                network, scale=loss.scale, mini_batch_size=loss.cached, **directions
            )
        else:
            made = theirs.MultipleNegativesRankingLoss(network, scale=loss.scale, **directions)
    return made


_TRIPLET_MARGIN = 0.2  # of cosines; the library's default of 5 is for Euclidean distances


def _colbert_loss(network: Any, stage: Stage) -> nn.Module:
    from sentence_transformers.multi_vector_encoder import losses as theirs  # noqa: PLC0415 - as above

    made: nn.Module
    if stage.loss.name == "margin-mse":
        made = theirs.MultiVectorMarginMSELoss(network)
    elif stage.loss.name == "kl":
        made = theirs.MultiVectorDistillKLDivLoss(network)
    else:
        made = theirs.MultiVectorMultipleNegativesRankingLoss(network, scale=stage.loss.scale)
    return made


def _splade_loss(network: Any, stage: Stage) -> nn.Module:
    from sentence_transformers.sparse_encoder import losses as theirs  # noqa: PLC0415 - as above

    inner: nn.Module
    if stage.loss.name == "margin-mse":
        inner = theirs.SparseMarginMSELoss(network)
    elif stage.loss.name == "kl":
        inner = theirs.SparseDistillKLDivLoss(network)
    else:
        inner = theirs.SparseMultipleNegativesRankingLoss(network, scale=stage.loss.scale)
    weight = stage.loss.regularizer
    made: nn.Module = theirs.SpladeLoss(network, inner, weight, weight / 10)
    return made


def _reranker_loss(network: Any, stage: Stage) -> nn.Module:
    """Binary cross entropy of "this passage answers the question"; positives weigh as negatives."""
    from sentence_transformers.cross_encoder.losses import (  # noqa: PLC0415 - as above
        BinaryCrossEntropyLoss,
    )

    made: nn.Module = BinaryCrossEntropyLoss(
        network, pos_weight=torch.tensor(float(stage.negatives.each))
    )
    return made


class _Scaled:
    """Scores of pairs, scaled to the range of a cross-encoder's."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def __call__(self, questions: Tensor, passages: Tensor) -> Tensor:
        pairs = nn.functional.normalize(questions) * nn.functional.normalize(passages)
        return pairs.sum(dim=-1) * self._scale
