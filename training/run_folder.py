"""The folder of one training run: what was trained, how it went, and the model."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.training.curve import Outcome
from twotower.training.recipe import Recipe
from twotower.training.verdict import Verdict

_CONFIGURATION, _METRICS, _CARD, _PLOT = "run.json", "metrics.json", "README.md", "curve.png"


class RunFolder:
    """The folder of one run.

    Parameters
    ----------
    configuration
        What decides the result. A run that was interrupted goes on only with the same.
    """

    def __init__(self, path: Path, configuration: Mapping[str, Any]) -> None:
        self.path = path
        written = json.loads(json.dumps(configuration))
        file = path / _CONFIGURATION
        if file.is_file():
            before = json.loads(file.read_text(encoding="utf-8"))
            if (path / _METRICS).is_file():
                raise ConfigurationError(
                    f"the run in {path} is finished: name another folder with --run, or remove it"
                )
            if before != written:
                changed = [key for key in written if before.get(key) != written[key]]
                raise ConfigurationError(
                    f"the run in {path} was begun with other settings ({', '.join(changed)}): "
                    "name another folder with --run, or remove it to begin again"
                )
            self.resumed = True
        else:
            if path.exists() and any(path.iterdir()):
                raise ConfigurationError(f"{path} is not the folder of a run, and is not empty")
            path.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(written, indent=2), encoding="utf-8")
            self.resumed = False

    @property
    def model(self) -> Path:
        """Folder of the trained model."""
        return self.path / "model"

    def stage(self, number: int) -> Path:
        """Folder of the checkpoints of a stage."""
        folder = self.path / f"stage-{number}"
        folder.mkdir(exist_ok=True)
        return folder

    def outcome(self, number: int) -> Outcome | None:
        """Return how a stage went, if it is finished."""
        file = self.stage(number) / "outcome.json"
        if not file.is_file():
            return None
        return Outcome(**{**json.loads(file.read_text(encoding="utf-8")), "curve": ()})

    def finish_stage(self, number: int, outcome: Outcome) -> None:
        """Note that a stage is finished."""
        (self.stage(number) / "outcome.json").write_text(json.dumps(asdict(outcome)))

    def finish(
        self, recipe: Recipe, outcomes: Sequence[Outcome], verdict: Verdict, notes: Sequence[str]
    ) -> None:
        """Write metrics, plot and model card."""
        card = _card(recipe, outcomes, verdict, notes)
        (self.model / _CARD).write_text(card, encoding="utf-8")
        (self.path / _CARD).write_text(card, encoding="utf-8")
        _plot(self.path / _PLOT, outcomes)
        metrics = {
            "verdict": verdict.to_json(),
            "stages": [_without_nan(asdict(outcome)) for outcome in outcomes],
        }
        (self.path / _METRICS).write_text(json.dumps(metrics, indent=2), encoding="utf-8")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _card(
    recipe: Recipe, outcomes: Sequence[Outcome], verdict: Verdict, notes: Sequence[str]
) -> str:
    lines = [
        f"# {recipe.name}",
        "",
        f"{recipe.about}. Trained with twotower.",
        *([f"After {recipe.paper}."] if recipe.paper else []),
        "",
        *(f"- {note}" for note in notes),
        *(
            f"- Stage {number}: {outcome.steps} steps, {outcome.seconds:.0f} s; nDCG@10 on the "
            f"validation questions {outcome.best:.3f} at step {outcome.best_step}"
            for number, outcome in enumerate(outcomes, start=1)
        ),
        "",
        f"nDCG@10 on {verdict.questions} questions held out:",
        "",
        "| mode | before | after | 95% of the change | p |",
        "|---|---|---|---|---|",
        *(
            f"| {mode} | {c.before:.3f} | {c.after:.3f} | {c.low:+.3f} to {c.high:+.3f} "
            f"| {c.p:.3f} |"
            for mode, c in verdict.modes.items()
        ),
        "",
    ]
    return "\n".join(lines)


def _plot(file: Path, outcomes: Sequence[Outcome]) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - belongs to an extra

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    loss_axis = figure.subplots()
    ndcg_axis = loss_axis.twinx()
    start = 0
    for outcome in outcomes:
        losses = [(start + s.number, s.loss) for s in outcome.curve if not math.isnan(s.loss)]
        measured = [
            (start + s.number, s.ndcg)
            for s in outcome.curve
            if s.ndcg is not None and not math.isnan(s.ndcg)
        ]
        if losses:
            loss_axis.plot(*zip(*losses, strict=True), color="#555555")
        if measured:
            ndcg_axis.plot(*zip(*measured, strict=True), "o-", color="#0b6bcb")
        start += outcome.steps
    loss_axis.set(xlabel="step", ylabel="loss")
    ndcg_axis.set_ylabel("nDCG@10 on the validation questions", color="#0b6bcb")
    figure.savefig(file, dpi=120)
