"""Output of `twotower train`: what was learned, and whether it pays."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from twotower.app.cli.rendering.output import print_json
from twotower.app.services.learning import Learned
from twotower.training.verdict import DECIDES


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
    for line in _counts(learned):
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


def _counts(learned: Learned) -> Iterator[str]:
    examples = learned.examples
    if examples.repeated:
        yield f"{examples.repeated} questions occur more than once: their labels were put together."
    if examples.contradicting:
        yield f"{examples.contradicting} labels contradict another one: the lower grade counts."
    if learned.unknown:
        yield f"{learned.unknown} labels name questions or documents that do not exist: left out."
