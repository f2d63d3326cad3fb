"""Negatives of a question: passages that a search ranks high and that do not answer it."""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from twotower.training.pairs import Pair

Search = Callable[[Sequence[str]], Sequence[Sequence[int]]]  # passages of each question, best first


def bm25(
    pairs: Sequence[Pair],
    search: Search,
    relevant: Mapping[str, frozenset[int]],
    count: int,
) -> dict[str, list[int]]:
    """Take the best passages of the lexical leg that do not answer the question.

    Returns
    -------
    dict
        Passages by question; fewer than ``count`` where the leg finds no more.

    Notes
    -----
    Karpukhin et al. (2020), section 3.2: "top passages returned by BM25 which don't contain the
    answer but match most question tokens".
    """
    own: dict[str, set[int]] = {}
    for pair in pairs:
        own.setdefault(pair.question, set(relevant.get(pair.question, ()))).add(pair.passage)
    questions = list(own)
    return {
        question: [passage for passage in ranking if passage not in own[question]][:count]
        for question, ranking in zip(questions, search(questions), strict=True)
    }


def mined(
    pairs: Sequence[Pair],
    network: Any,
    texts: Sequence[str],
    relevant: Mapping[str, frozenset[int]],
    count: int,
    margin: float,
    batch: int = 32,
) -> dict[str, list[int]]:
    """Take the passages that the network in training ranks highest and that do not answer.

    Parameters
    ----------
    margin
        A passage whose score is more than this share of the score of the question's own passage
        may be an answer that nobody labelled, and is left out.

    Notes
    -----
    Xiong et al., 'Approximate Nearest Neighbor Negative Contrastive Learning for Dense Text
    Retrieval' (ICLR 2021), with `sentence_transformers.util.mine_hard_negatives`.
    """
    from datasets import Dataset  # noqa: PLC0415 - takes a second
    from sentence_transformers.util import mine_hard_negatives  # noqa: PLC0415 - takes 5 to 10 s

    numbers: dict[str, int] = {}
    for number, text in enumerate(texts):
        numbers.setdefault(text, number)
    rows = {
        (question, texts[passage])
        for question in sorted({pair.question for pair in pairs})
        for passage in relevant.get(question, ())
    } | {(pair.question, texts[pair.passage]) for pair in pairs}
    ordered = sorted(rows)
    training = network.training
    given = {"question": [q for q, _ in ordered], "passage": [p for _, p in ordered]}
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars cannot be switched off
        found = mine_hard_negatives(
            Dataset.from_dict(given),
            network,
            anchor_column_name="question",
            positive_column_name="passage",
            corpus=list(numbers),
            relative_margin=1 - margin,
            num_negatives=count,
            range_max=max(10 * count, 20),
            output_format="triplet",
            batch_size=batch,
            verbose=False,
        )
    network.train(training)
    negatives: dict[str, list[int]] = {}
    for question, text in zip(found["question"], found["negative"], strict=True):
        kept = negatives.setdefault(question, [])
        if numbers[text] not in kept:
            kept.append(numbers[text])
    return {question: passages[:count] for question, passages in negatives.items()}


def filled(
    negatives: Sequence[int], count: int, forbidden: frozenset[int], passages: int, seed: int
) -> list[int]:
    """Add passages at random where too few negatives were found."""
    chosen = list(negatives[:count])
    random = np.random.default_rng(seed)
    while len(chosen) < count:
        passage = int(random.integers(passages))
        if passage not in forbidden or passages <= len(forbidden):
            chosen.append(passage)
    return chosen
