"""Output of `twotower train`: what was learned, and whether it pays."""

import contextlib
import dataclasses
import math
import textwrap
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from twotower.app.cli.rendering.output import harmless, print_json
from twotower.app.services.learning import Learned
from twotower.app.services.model_training import Plan, Reporter, Trained
from twotower.app.services.training_data import TrainingData
from twotower.training.curve import Step
from twotower.training.recipe import names, read_recipe
from twotower.training.verdict import DECIDES, FEWEST_QUESTIONS, Verdict

QUESTION_MAP = "A matrix on the question's vector: seconds, no new index; `twotower train` alone"


def print_learned(name: str, learned: Learned, as_json: bool) -> None:
    """Print the measures before and after, and what became of the map."""
    verdict, examples = learned.verdict, learned.examples
    number = next((kept.number for kept in learned.kept.values()), None)
    if as_json:
        print_json(
            {
                "collection": name,
                "question_map": number,
                **verdict.to_json(),
                "repeated_questions": examples.repeated,
                "contradicting_labels": examples.contradicting,
                "unknown_labels": learned.unknown,
            }
        )
        return
    console = Console(highlight=False)
    for line in _warnings(examples.repeated, examples.contradicting, learned.unknown):
        console.print(line, style="yellow")
    repeats = f", {verdict.repeats} times" if verdict.repeats > 1 else ""
    title = (
        f"{verdict.questions} questions, in {verdict.parts} parts{repeats}; each part measured "
        "with what the others taught"
    )
    console.print(_verdict_table(title, verdict))
    decisive = verdict.modes[DECIDES]
    if number is not None:
        console.print(
            f"Kept as question map {number} of '{name}': searches use it from now on. "
            "`twotower rollback` removes it."
        )
    elif decisive.after > decisive.before:
        console.print("No difference shown in hybrid search: nothing was kept.")
    else:
        console.print("Hybrid search does not gain: nothing was kept.")


def _verdict_table(title: str, verdict: Verdict) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("nDCG@10")
    for column in ("before", "after", "95% of the change", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    for mode, one in verdict.modes.items():
        table.add_row(
            mode,
            f"{one.before:.3f}",
            f"{one.after:.3f}",
            f"{one.low:+.3f} to {one.high:+.3f}",
            f"{one.p:.3f}",
        )
    return table


def print_data(name: str, data: TrainingData, as_json: bool) -> None:
    """Print what there is to learn from, with samples."""
    if as_json:
        print_json({"collection": name, "enough": data.enough, **dataclasses.asdict(data)})
        return
    console = Console(highlight=False)
    table = Table(title=f"What '{name}' has to learn from", title_justify="left")
    table.add_column("source")
    for column in ("questions", "with a passage", "judgements"):
        table.add_column(column, justify="right")
    table.add_column("for instance", overflow="fold")
    for source in data.sources:
        sample = textwrap.shorten(source.samples[0], 60) if source.samples else ""
        counts = (source.questions, source.usable, source.judgements)
        table.add_row(source.name, *(f"{count:,}" for count in counts), Text(harmless(sample)))
    console.print(table)
    for line in _warnings(data.repeated, data.contradicting, data.unknown):
        console.print(line, style="yellow")
    if data.enough:
        console.print("`twotower train` learns from the file, or from labels and clicks.")
    else:
        console.print(
            f"`twotower train` needs {FEWEST_QUESTIONS} questions with a passage, from a file, "
            "labels or clicks."
        )
    if not data.clicks_enabled:
        console.print("The click log is off: TWOTOWER_CLICK_LOG=true turns it on.", style="dim")


def _warnings(repeated: int, contradicting: int, unknown: int) -> Iterator[str]:
    if repeated:
        yield f"{repeated} questions occur more than once: their labels were put together."
    if contradicting:
        yield f"{contradicting} labels contradict another one: the lower grade counts."
    if unknown:
        yield f"{unknown} labels name questions or documents that do not exist: left out."


def print_recipes(as_json: bool) -> None:
    """Print the recipes that come with the program."""
    recipes = [read_recipe(name) for name in names()]
    if as_json:
        print_json({recipe.name: recipe.about for recipe in recipes})
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, about in (("question-map", QUESTION_MAP), *((r.name, r.about) for r in recipes)):
        table.add_row(name, about)
    Console(highlight=False).print(table)


@contextlib.contextmanager
def training(quiet: bool) -> Iterator[Reporter]:
    """Show what a run is going to do and to cost, and then its learning curve."""
    if quiet:
        yield Reporter()
        return
    console = Console(stderr=True, highlight=False)
    curves: dict[int, list[Step]] = {}

    def step(stage: int, point: Step, steps: int) -> None:
        curve = curves.setdefault(stage, [])
        curve.append(point)
        if point.ndcg is None:
            return
        line = sparkline([p.loss for p in curve if not math.isnan(p.loss)])
        at = f"step {point.number} of {steps}" if steps else "before training"
        loss = f"loss {point.loss:.3f} {line}   " if line else ""
        console.print(f"stage {stage}, {at}: {loss}nDCG@10 {point.ndcg:.3f}", soft_wrap=True)

    yield Reporter(
        plan=lambda plan: _print_plan(console, plan),
        cost=lambda stage, seconds: console.print(
            f"Stage {stage} takes about {_duration(seconds)} on this machine, by two steps of it."
        ),
        step=step,
        busy=lambda what: console.print(f"{what.capitalize()} …", style="dim"),
    )


def sparkline(values: Sequence[float]) -> str:
    """Draw values as a line of eight levels, at most 24 characters wide."""
    if not values:
        return ""
    shown = [values[round(n)] for n in _evenly(len(values), min(len(values), _WIDTH))]
    low, high = min(shown), max(shown)
    levels = [round((v - low) / (high - low) * 7) if high > low else 0 for v in shown]
    return "".join(_LEVELS[level] for level in levels)


def print_trained(name: str, trained: Trained, as_json: bool) -> None:
    """Print the verdict on a trained model, and how to put it to use."""
    verdict, model = trained.verdict, trained.folder / "model"
    if as_json:
        print_json(
            {
                "collection": name,
                "recipe": trained.recipe.name,
                "run": str(trained.folder),
                "finished": trained.finished,
                **(verdict.to_json() if verdict else {}),
            }
        )
        return
    console = Console(highlight=False)
    if verdict is None:
        console.print("Stopped. The same command goes on from the last checkpoint.")
        return
    title = f"{verdict.questions} questions held out, without and with the model"
    console.print(_verdict_table(title, verdict))
    console.print(f"The model is in {model}, with its curve and its card beside it.")
    decisive = verdict.modes[DECIDES]
    if verdict.pays:
        console.print("Hybrid search gains. To use the model:")
    elif decisive.after > decisive.before:
        console.print("No difference shown in hybrid search. To use the model all the same:")
    else:
        console.print("Hybrid search does not gain. To use the model all the same:")
    console.print(
        f"  {_HOW_TO_USE[trained.recipe.model.kind].format(model=model, name=name)}", soft_wrap=True
    )


_HOW_TO_USE = {
    "dense": "twotower reindex --collection {name} --encoder '{model}'",
    "colbert": "TWOTOWER_COLBERT='{model}' TWOTOWER_LEGS=dense,bm25,colbert twotower reindex "
    "--collection {name}",
    "splade": "TWOTOWER_SPLADE='{model}' TWOTOWER_LEGS=dense,bm25,splade twotower reindex "
    "--collection {name}",
    "reranker": "TWOTOWER_CROSS_ENCODER='{model}' twotower search --collection {name} "
    "--rerank cross-encoder",
}
_LEVELS, _WIDTH = "▁▂▃▄▅▆▇█", 24
_MINUTE, _HOUR = 60, 3600


def _evenly(count: int, wanted: int) -> list[float]:
    return [n * (count - 1) / max(1, wanted - 1) for n in range(wanted)]


def _duration(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} seconds"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} minutes"
    return f"{seconds / _HOUR:.1f} hours"


def _print_plan(console: Console, plan: Plan) -> None:
    pairs = ", ".join(f"{count} from {source}" for source, count in plan.pairs.items())
    trained, validated, tested = plan.questions
    console.print(f"{'Going on with' if plan.resumed else 'Run'}: {plan.folder}")
    console.print(
        f"Pairs: {pairs}. Labelled questions: {trained} to learn from, {validated} for validation, "
        f"{tested} for the verdict."
    )
    if plan.near_duplicates:
        console.print(
            f"{plan.near_duplicates} questions are left out: almost the same as one held out.",
            style="yellow",
        )
    if plan.of_held_out_documents:
        console.print(
            f"{plan.of_held_out_documents} pairs are left out: their documents are held out.",
            style="yellow",
        )
    for kind, samples in plan.negatives.items():
        for question, text in samples:
            shown = textwrap.shorten(harmless(text), 80, placeholder=" …")
            console.print(f"Negative ({kind}) of '{harmless(question)}': {shown}", style="dim")
