"""Negatives of the literature, on one small tower: DPR's, ANCE's and mixed ones.

    .venv/bin/python -m benchmarks.ablation ../shared/data/cranfield

A DSSM tower is trained from nothing on the labels and the text of a set, each time with other
negatives and the same pairs, seed and number of steps. nDCG@10 of dense search, on questions held
out; p of the paired randomisation test against the negatives of the batch alone.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import live
from twotower.app.services.model_training import train_model
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.evaluation.measure import Scores, bootstrap_interval, paired_p
from twotower.training.recipe import Recipe, read_recipe

STEPS, BATCH = 200, 32
KINDS: dict[str, dict[str, Any]] = {
    "in the batch alone": {},
    "and one of BM25 (DPR)": {"bm25": 1},
    "and one mined once (static)": {"mined": 1},
    "and one mined every 100 steps (ANCE)": {"mined": 1, "refresh": 100},
    "and 32 uniform (mixed)": {"uniform": 32},
}


def recipe(negatives: dict[str, Any]) -> Recipe:
    """Return the recipe `dssm` with other negatives."""
    base = read_recipe("dssm")
    stage = base.stages[0]
    training = {"steps": STEPS, "batch": BATCH, "validate_every": STEPS // 2, "patience": 9}
    # Labels weigh as much as sentences, since negatives matter for what people ask.
    data = stage.data.model_copy(update={"sources": {"labels": 1.0, "sentences": 1.0}})
    changed = stage.model_copy(
        update={
            "training": stage.training.model_copy(update=training),
            "negatives": stage.negatives.model_copy(update=negatives),
            "data": data,
        }
    )
    return base.model_copy(update={"stages": (changed,)})


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    with tempfile.TemporaryDirectory() as data_dir:
        application = Application(load_settings(None, data_dir=Path(data_dir)))
        count = live.make(application, folder, "set")
        print(f"{folder.name}, {count} passages; {STEPS} steps of {BATCH}", flush=True)
        first: Scores | None = None
        for number, (name, negatives) in enumerate(KINDS.items()):
            start = time.perf_counter()
            run = Path(data_dir) / f"run-{number}"
            done = train_model(application, "set", recipe(negatives), folder, run)
            seconds = time.perf_counter() - start
            scores = done.scores["dense"]
            first = scores if first is None else first
            low, high = bootstrap_interval(scores)
            p = "" if scores is first else f"  p {paired_p(first, scores):.3f}"
            print(
                f"  {name:38} {scores.mean():.3f} (95% {low:.3f} to {high:.3f}){p}"
                f"  {seconds:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
