"""Selection from a ranking: diversity, limits per document, and a reranker's scores."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from uuid import UUID

import numpy as np

from twotower.retrieval.vocabulary.ranking import Scored
from twotower.retrieval.vocabulary.vectors import Vectors


def at_most_per_document(
    ranking: Sequence[Scored], most: int, source_of: Mapping[UUID, str]
) -> list[Scored]:
    """Keep the first ``most`` passages of each document, and none that was removed."""
    seen: Counter[str] = Counter()
    kept = []
    for item in ranking:
        source = source_of.get(item.id)
        if source is None:
            continue
        seen[source] += 1
        if seen[source] <= most:
            kept.append(item)
    return kept


def without_copies(
    ranking: Sequence[Scored], content_of: Mapping[UUID, Hashable]
) -> tuple[list[Scored], dict[UUID, list[UUID]]]:
    """Keep the first passage of each content, and none that was removed.

    Returns
    -------
    tuple
        The passages that are kept, and for each that has copies their ids, best first.
    """
    first: dict[Hashable, UUID] = {}
    kept = []
    copies: dict[UUID, list[UUID]] = {}
    for item in ranking:
        if item.id not in content_of:
            continue
        content = content_of[item.id]
        if content in first:
            copies.setdefault(first[content], []).append(item.id)
        else:
            first[content] = item.id
            kept.append(item)
    return kept, copies


def diverse(
    ranking: Sequence[Scored], vectors: Mapping[UUID, Vectors], diversity: float, limit: int
) -> list[Scored]:
    """Choose hits that are relevant and differ from those chosen before.

    Parameters
    ----------
    vectors
        Unit vector of every item, (d,) float32.
    diversity
        ``1 - lambda`` of the source: 0 keeps the ranking, 1 uses the difference alone.

    Returns
    -------
    list[Scored]
        At most ``limit`` items with their own scores, in the order of choice.

    Notes
    -----
    Maximal marginal relevance: Carbonell and Goldstein, 'The Use of MMR, Diversity-Based Reranking
    for Reordering Documents and Producing Summaries' (SIGIR 1998). Relevance is the score,
    stretched to [0, 1] over the ranking; similarity is the cosine.
    """
    if not ranking:
        return []
    scores = np.array([item.score for item in ranking])
    spread = scores.max() - scores.min()
    relevance = (scores - scores.min()) / spread if spread else np.ones(len(scores))
    matrix = np.stack([vectors[item.id] for item in ranking])
    nearest = np.full(len(ranking), -np.inf)
    left = np.ones(len(ranking), dtype=bool)
    chosen: list[Scored] = []
    while left.any() and len(chosen) < limit:
        likeness = np.where(np.isinf(nearest), 0.0, nearest)
        value = (1 - diversity) * relevance - diversity * likeness
        best = int(np.argmax(np.where(left, value, -np.inf)))  # the first of equals: ties by id
        chosen.append(ranking[best])
        left[best] = False
        nearest = np.maximum(nearest, matrix @ matrix[best])
    return chosen


def combined(
    ranking: Sequence[Scored], reranked: Mapping[UUID, float], weight: float
) -> list[Scored]:
    """Mix a reranker's scores with those of the ranking.

    Parameters
    ----------
    ranking
        Items, best first. Those with a score in ``reranked`` are mixed; the others follow in their
        order.
    weight
        Weight of the reranker, in [0, 1].

    Returns
    -------
    list[Scored]
        Items with the score ``weight * z(reranked) + (1 - weight) * z(fused)``, where z is the
        z-score over the reranked items, since rerankers have scales of their own. The scores of the
        other items are lower.
    """
    head = [item for item in ranking if item.id in reranked]
    if not head:
        return list(ranking)
    first = standardised([item.score for item in head])
    second = standardised([reranked[item.id] for item in head])
    mixed = [
        Scored(item.id, (1 - weight) * a + weight * b)
        for item, a, b in zip(head, first, second, strict=True)
    ]
    mixed.sort(key=lambda item: (-item.score, item.id.int))
    floor = mixed[-1].score
    tail = [item for item in ranking if item.id not in reranked]
    return mixed + [Scored(item.id, floor - step) for step, item in enumerate(tail, start=1)]


def standardised(scores: Sequence[float]) -> list[float]:
    """Turn scores into z-scores; equal ones become 0."""
    array = np.asarray(scores, dtype=np.float64)
    deviation = array.std()
    if deviation < 1e-12:  # noqa: PLR2004 - rounding, not a difference
        return [0.0] * len(scores)
    return [float(value) for value in (array - array.mean()) / deviation]
