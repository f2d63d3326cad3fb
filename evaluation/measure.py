"""Measures of search configurations by question, with intervals and significance tests."""

import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.evaluation.dataset import Dataset, Judgements
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.search.results import Hit
from twotower.retrieval.search.retriever import Retriever
from twotower.retrieval.vocabulary.errors import MissingExtra

MEASURES = ("ndcg@10", "recall@10", "recall@100", "mrr@10")
DEPTH = 100  # hits for each question; several hits of one document count once
_RESAMPLES = 9_999
_SEED = 20_260_101

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SystemResult:
    """Result of one search configuration.

    Attributes
    ----------
    scores
        One value per question for each measure, in the order of ``questions``.
    milliseconds
        Time of each question, with `DEPTH` hits.
    """

    options: SearchOptions
    questions: tuple[str, ...]
    scores: Mapping[str, Scores]
    milliseconds: tuple[float, ...]

    def mean(self, measure: str) -> float:
        """Mean of a measure over the questions."""
        return float(self.scores[measure].mean())

    def interval(self, measure: str = "ndcg@10") -> tuple[float, float]:
        """95% bootstrap interval of the mean (percentiles), over questions."""
        return bootstrap_interval(self.scores[measure])

    def percentile(self, share: int) -> float:
        """Number of milliseconds in which ``share`` percent of the questions were answered."""
        return float(np.percentile(self.milliseconds, share))


def run(
    retriever: Retriever,
    dataset: Dataset,
    options: SearchOptions,
    progress: Callable[[int], None] = lambda _: None,
) -> SystemResult:
    """Search for every judged question, one at a time, as a person would."""
    rankings: dict[str, dict[str, float]] = {}
    milliseconds = []
    for id, judgements in dataset.judged.items():
        start = time.perf_counter()
        hits = retriever.retrieve(dataset.questions[id], options).hits
        milliseconds.append((time.perf_counter() - start) * 1000)
        rankings[id] = rank_documents(hits, judgements)
        progress(1)
    ids = tuple(dataset.judged)
    return SystemResult(
        options, ids, compute_measures(rankings, dataset.judged), tuple(milliseconds)
    )


def rank_documents(hits: Sequence[Hit], judgements: Mapping[str, int]) -> dict[str, float]:
    """Score each document by its best passage; a page as well, if a judgement names the page."""
    places = ((hit.chunk.provenance.source, hit.chunk.provenance.page) for hit in hits)
    return rank_places(places, judgements)


def rank_places(
    places: Iterable[tuple[str, int | None]], judgements: Mapping[str, int]
) -> dict[str, float]:
    """Score documents, or pages that the judgements name, by their first place in a ranking."""
    best: dict[str, float] = {}
    for rank, (source, number) in enumerate(places, start=1):
        page = f"{source}#page={number}"
        best.setdefault(page if page in judgements else source, 1.0 / rank)
    return best


def compute_measures(
    rankings: Mapping[str, Mapping[str, float]],
    judged: Judgements,
    measures: Sequence[str] = MEASURES,
) -> dict[str, Scores]:
    """Compute each measure for each judged question, in the order of the judgements.

    Parameters
    ----------
    rankings
        Score by document for each question; a question without a ranking gets 0.

    Notes
    -----
    Computed with `ir-measures` (MacAvaney et al., 2022): the gain of nDCG is the judged score,
    its discount log2.
    """
    try:
        import ir_measures  # noqa: PLC0415 - belongs to an extra
    except ImportError as error:
        raise MissingExtra(
            "evaluation needs the extra 'eval': run `make install`, or pip install 'twotower[eval]'"
        ) from error
    known = {
        "ndcg@10": ir_measures.nDCG @ 10,
        "recall@10": ir_measures.R @ 10,
        "recall@100": ir_measures.R @ 100,
        "mrr@10": ir_measures.RR @ 10,
    }
    objects = {name: known[name] for name in measures}
    index = {id: number for number, id in enumerate(judged)}
    names = {measure: name for name, measure in objects.items()}
    scores = {name: np.zeros(len(index)) for name in measures}
    relevance = {id: dict(scores) for id, scores in judged.items()}
    runs = {id: dict(ranking) or {"": 0.0} for id, ranking in rankings.items()}
    for metric in ir_measures.iter_calc(list(objects.values()), relevance, runs):
        scores[names[metric.measure]][index[metric.query_id]] = metric.value
    return scores


def bootstrap_interval(scores: Scores) -> tuple[float, float]:
    """95% percentile interval of a mean, from 9,999 resamples (Efron, 1979)."""
    from scipy import stats  # noqa: PLC0415 - takes 1 s, and the page imports this module

    if len(scores) < 2 or np.ptp(scores) == 0:  # noqa: PLR2004 - nothing to resample
        return float(scores.mean()), float(scores.mean())
    result = stats.bootstrap(
        (scores,), np.mean, n_resamples=_RESAMPLES, method="percentile", batch=1000, rng=_SEED
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def paired_p(first: Scores, second: Scores) -> float:
    """Two-sided p of Fisher's paired randomisation test on the difference of means.

    Smucker, Allan and Carterette, 'A Comparison of Statistical Significance Tests for Information
    Retrieval Evaluation' (CIKM 2007).
    """
    from scipy import stats  # noqa: PLC0415 - takes 1 s, and the page imports this module

    difference = first - second
    if not difference.any():
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = stats.permutation_test(
            (difference,),
            np.mean,
            permutation_type="samples",
            n_resamples=_RESAMPLES,
            batch=1000,
            vectorized=True,
            rng=_SEED,
        )
    return float(result.pvalue)


def to_json(dataset: Dataset, results: Sequence[SystemResult]) -> dict[str, Any]:
    """Build the object that ``eval --json`` prints."""
    return {
        "dataset": dataset.name,
        "questions": len(dataset.judged),
        "unanswerable": len(dataset.unanswerable),
        "unknown": {
            "questions": dataset.unknown_questions,
            "documents": dataset.unknown_documents,
        },
        "systems": [_system_json(result, results[0]) for result in results],
    }


def _system_json(result: SystemResult, first: SystemResult) -> dict[str, Any]:
    options = result.options
    return {
        "mode": options.mode,
        "fusion": options.fusion if options.mode == "hybrid" else None,
        "rerank": options.rerank,
        "feedback": options.feedback,
        **{name: round(result.mean(name), 4) for name in MEASURES},
        "ci95": [round(end, 4) for end in result.interval()],
        "p": None
        if result is first
        else round(paired_p(first.scores["ndcg@10"], result.scores["ndcg@10"]), 4),
        "p50_ms": round(statistics.median(result.milliseconds), 2),
        "p95_ms": round(result.percentile(95), 2),
    }
