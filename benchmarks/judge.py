"""A trained cross-encoder as a judge of whether a question is answered, on the example handbook.

    .venv/bin/python -m benchmarks.judge RUN/model

The judge was trained on another set. `alone` takes its best score over the hits of a question, with
nothing fitted; `calibrated` is `twotower eval --calibrate` with all features, by cross-validation.
Each is an area under the ROC curve: between the 87 answerable questions and the 11 near misses, and
between the answerable questions and the same with their documents hidden.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.handbook import EXAMPLES, QUERIES
from twotower.app.services.evaluation import bench, run_calibration
from twotower.app.services.ingestion import Ingestion
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.evaluation.calibrate import without_answers
from twotower.evaluation.logistic import area_under_curve
from twotower.retrieval.search.options import SearchOptions

_RESAMPLES = 2000


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    judge = parser.parse_args(arguments).model
    options = SearchOptions(rerank="cross-encoder")
    with tempfile.TemporaryDirectory() as folder:
        application = Application(
            load_settings(data_dir=Path(folder), collection="handbook", cross_encoder=str(judge))
        )
        with Ingestion(application, [EXAMPLES / "handbook"], "handbook") as ingestion:
            for outcome in ingestion.run():
                if outcome.status == "failed":
                    print(f"failed: {outcome.source}: {outcome.reason}")
        with bench(application, None, QUERIES, None, lambda *_: None) as opened:
            dataset = opened.dataset
            scores: dict[str, list[float]] = {"answerable": [], "near miss": [], "hidden": []}
            for id, text in dataset.questions.items():
                asked = {"answerable" if id in dataset.judged else "near miss": options}
                if id in dataset.judged:
                    asked["hidden"] = without_answers(options, dataset.judged[id])
                for kind, how in asked.items():
                    result = opened.retriever.retrieve(text, how)
                    scores[kind].append(result.judgement.features["reranker"])
            calibrated = run_calibration(opened, replace(options), lambda *_: None)
    for kind, fitted in (
        ("near miss", calibrated.auc_unanswerable),
        ("hidden", calibrated.auc_hidden),
    ):
        alone, low, high = _area(np.array(scores["answerable"]), np.array(scores[kind]))
        print(
            f"{kind}: {len(scores[kind])} questions; alone {alone:.3f} (95% {low:.2f} to "
            f"{high:.2f}), calibrated {fitted:.3f}"
        )


def _area(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float, float]:
    """Area under the curve, with a bootstrap interval over questions."""
    random = np.random.default_rng(0)

    def area(one: np.ndarray, other: np.ndarray) -> float:
        truth = np.array([True] * len(one) + [False] * len(other))
        return float(area_under_curve(truth, np.concatenate([one, other])))

    drawn = [
        area(random.choice(positive, len(positive)), random.choice(negative, len(negative)))
        for _ in range(_RESAMPLES)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return area(positive, negative), float(low), float(high)


if __name__ == "__main__":
    main()
