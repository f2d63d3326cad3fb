"""Losses of two towers that sentence-transformers does not have, on scores of pairs.

All take ``scores``, (b, m): the scores of b questions with m >= b passages, divided by the
temperature. The passage of question i is in column i; the other columns are its negatives: those of
the batch, then whatever else the sampler added. Each is a pure function, so that tests compare it
with its formula.

sentence-transformers has the others: `MultipleNegativesRankingLoss` (in-batch softmax, in one or
two directions), `CachedMultipleNegativesRankingLoss` (large batches), `TripletLoss`,
`MarginMSELoss`, `DistillKLDivLoss` and `MatryoshkaLoss`.
"""

import torch
from torch import Tensor
from torch.nn import functional

_NEVER = float("-inf")


def without_accidental_hits(scores: Tensor, ids: Tensor) -> Tensor:
    """Remove negatives that are the question's own passage: their score becomes minus infinity.

    Parameters
    ----------
    ids
        (m,) identity of the passage in each column.
    """
    count = len(scores)
    own = ids[:count].unsqueeze(1) == ids.unsqueeze(0)
    own[torch.arange(count), torch.arange(count)] = False
    return scores.masked_fill(own, _NEVER)


def corrected(scores: Tensor, probabilities: Tensor) -> Tensor:
    """Subtract from each score the logarithm of the probability that its column was sampled.

    Parameters
    ----------
    probabilities
        (m,) probability of each column; see `log_mixed` for columns from two samplers.

    Notes
    -----
    The logQ correction: s'(x, y) = s(x, y) - log Q(y), for the positive as well (Bengio and
    Senecal, 2003; Yi et al., 2019, algorithm 1). Without it, a frequent item is a negative so often
    that the softmax learns log P(y|x) - log Q(y).
    """
    return scores - probabilities.log()


def log_mixed(in_batch: Tensor, batch: int, uniform: float, drawn: int) -> Tensor:
    """Return log Q of columns when ``batch`` come from the data and ``drawn`` uniformly.

    Parameters
    ----------
    in_batch
        (m,) probability of each item in the data.
    uniform
        Probability of each item in the uniform sample: one over the number of items.

    Notes
    -----
    Yang et al., 'Mixed Negative Sampling for Learning Two-tower Neural Networks in Recommendations'
    (2020): the columns are one sample of the mixture

        Q(y) = batch / (batch + drawn) * P(y) + drawn / (batch + drawn) * uniform
    """
    share = batch / (batch + drawn)
    return (share * in_batch + (1 - share) * uniform).log()


def sampled_softmax(scores: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross entropy of each question's own passage among all columns.

    Parameters
    ----------
    weights
        (b,) weight of each question, such as a reward; by default all weigh the same.

    Notes
    -----
    -1/b * sum over i of w_i * log(exp(s_ii) / sum over j of exp(s_ij)): Karpukhin et al. (2020),
    equation 2, with any number of further negatives.
    """
    targets = torch.arange(len(scores), device=scores.device)
    losses = functional.cross_entropy(scores, targets, reduction="none")
    return (losses if weights is None else losses * weights).mean()


def bpr(scores: Tensor) -> Tensor:
    """Bayesian personalised ranking over all pairs of a question's own passage and a negative.

    Notes
    -----
    -mean over i, j != i of log sigmoid(s_ii - s_ij): Rendle et al., 'BPR: Bayesian Personalized
    Ranking from Implicit Feedback' (UAI 2009), BPR-Opt without its prior.
    """
    return -functional.logsigmoid(_margins(scores)).mean()


def hinge(scores: Tensor, margin: float = 0.2) -> Tensor:
    """Mean of max(0, margin - s_ii + s_ij) over all pairs (WSABIE; Weston et al., 2011)."""
    return functional.relu(margin - _margins(scores)).mean()


def nce(scores: Tensor, noise: Tensor) -> Tensor:
    """Noise-contrastive estimation: tell each own passage from the negatives as from noise.

    Parameters
    ----------
    noise
        (m,) probability of each column under the sampler of negatives.

    Notes
    -----
    With k negatives a question and d_ij = s_ij - log(k * noise_j):
    -1/b * sum over i of (log sigmoid(d_ii) + sum over j != i of log(1 - sigmoid(d_ij))); Gutmann
    and Hyvarinen (2010), Mnih and Teh (2012). Removed negatives (minus infinity) add nothing.
    """
    count, columns = scores.shape
    odds = scores - ((columns - 1) * noise).log()
    own = torch.eye(count, columns, dtype=torch.bool, device=scores.device)
    signs = torch.where(own, 1.0, -1.0)
    return -functional.logsigmoid(signs * odds).sum(dim=1).mean()


class VectorBank:
    """Vectors of recent passages as further negatives, first in, first out.

    Parameters
    ----------
    size
        Number of vectors.

    Notes
    -----
    Wang et al., 'Cross-Batch Negative Sampling for Training Two-Tower Recommenders' (SIGIR 2021):
    towers change slowly, so vectors of the last steps are still good negatives, at no cost. They
    get no gradient.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._vectors: Tensor | None = None
        self._ids: Tensor | None = None

    def add(self, vectors: Tensor, ids: Tensor) -> None:
        """Add the passages of a batch: (n, d) and (n,); the oldest go."""
        vectors, ids = vectors.detach(), ids.detach()
        if self._vectors is not None and self._ids is not None:
            vectors = torch.cat([self._vectors, vectors])
            ids = torch.cat([self._ids, ids])
        self._vectors, self._ids = vectors[-self._size :], ids[-self._size :]

    def extended(self, vectors: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the passages of a batch, followed by those of the bank."""
        if self._vectors is None or self._ids is None:
            return vectors, ids
        return torch.cat([vectors, self._vectors]), torch.cat([ids, self._ids])


def _margins(scores: Tensor) -> Tensor:
    """Return s_ii - s_ij for all j != i that were not removed: (pairs,)."""
    count, columns = scores.shape
    others = ~torch.eye(count, columns, dtype=torch.bool, device=scores.device)
    margins = scores[:, :count].diagonal().unsqueeze(1) - scores
    return margins[others & torch.isfinite(scores)]
