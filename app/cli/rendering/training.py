"""Output of `twotower train`: what was learned, and whether it pays."""

import dataclasses
import textwrap
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from twotower.app.cli.rendering.output import harmless, print_json
from twotower.app.services.learning import Learned
from twotower.app.services.training_data import TrainingData
from twotower.training.verdict import DECIDES, FEWEST_QUESTIONS


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
    table = Table(
        title=f"{verdict.questions} questions, in {verdict.parts} parts{repeats}; each part "
        "measured with what the others taught",
        title_justify="left",
    )
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
    console.print(table)
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
