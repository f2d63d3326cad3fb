"""Output of `twotower search` and `twotower facets`: hits, a context, counts."""

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from twotower.app.cli.rendering.output import harmless, print_json, printable
from twotower.app.services.exports import window
from twotower.retrieval.search.context import Context
from twotower.retrieval.search.results import Explanation, Hit, SearchResult
from twotower.retrieval.search.retriever import Retriever
from twotower.retrieval.vocabulary.documents import Provenance

_TERMS = 12  # of a question, in an explanation
_PLACES = 5  # of copies that are named
_MARK = "bold yellow"


def print_result(result: SearchResult, retriever: Retriever, *, explain: bool, full: bool) -> None:
    """Print the hits, the judgement, and the duration of a search."""
    console = Console()
    question, hits = result.question, result.hits
    if not hits:
        console.print(
            "Nothing found. Search again with fewer conditions: without --filter, without quotes, "
            "or with --mode hybrid."
        )
        return
    for phrase in result.ignored_phrases:
        console.print(
            Text(f'No passage contains "{harmless(phrase)}": searched without it', style="yellow")
        )
    judgement = result.judgement
    if judgement.answerable == "false":
        console.print(
            f"Probably no passage answers this: the probability of an answer is "
            f"{judgement.probability:.0%}",
            style="yellow",
        )
    for hit in hits:
        _print_hit(console, hit, retriever.matches(question, hit.chunk.text), explain, full)
    if result.out_of_time:
        console.print("Reranking stopped early: its time was up.", style="yellow")
    if explain and result.question_map is not None:
        console.print(f"The question's vector went through question map {result.question_map}.")
    count = "1 hit" if len(hits) == 1 else f"{len(hits)} hits"
    console.print(f"{count} in {result.seconds:.2f} s", style="dim", highlight=False)


def _print_hit(
    console: Console, hit: Hit, marks: Sequence[tuple[int, int]], explain: bool, full: bool
) -> None:
    """Print rank, score, location and headings of a hit, and its passage with marked terms."""
    origin = hit.chunk.provenance
    head = Text.assemble(
        (f"{hit.rank:>2}. ", "bold"), (f"{hit.score:.3f}  ", "cyan"), (_location(origin), "bold")
    )
    console.print(head, soft_wrap=True)
    if origin.headings:
        console.print(
            Padding(Text(harmless(" > ".join(origin.headings)), style="dim"), (0, 0, 0, 4))
        )
    passage = _passage(hit, marks, full)
    console.print(Padding(passage, (0, 0, 0, 4)))
    if explain:
        console.print(Padding(_explanation(hit), (0, 0, 0, 4)))
    if hit.outdated:
        line = f"out of date: {printable(hit.outdated)}"
        console.print(Padding(Text(line, style="yellow"), (0, 0, 0, 4)))
    if hit.copies:
        console.print(Padding(Text(f"also in {_places(hit)}", style="dim"), (0, 0, 0, 4)))
    for label, chunks in (("before", hit.before), ("after", hit.after)):
        for chunk in chunks:
            neighbour = Text.assemble((f"{label}: ", "dim"), harmless(chunk.text))
            console.print(Padding(neighbour, (0, 0, 0, 8)))
    console.print()


def _location(origin: Provenance) -> str:
    source = printable(origin.source)
    return source if origin.page is None else f"{source}:{origin.page}"


def _places(hit: Hit) -> str:
    """Name the places of copies, each once."""
    places = list(dict.fromkeys(map(_location, hit.copies)))
    more = f" and {len(places) - _PLACES} more places" if len(places) > _PLACES else ""
    return ", ".join(places[:_PLACES]) + more


def _passage(hit: Hit, matches: Sequence[tuple[int, int]], full: bool) -> Text:
    """Return the passage, or the excerpt with the most marked words."""
    text = harmless(hit.chunk.text)
    start, end = (0, len(text)) if full else window(text, matches)
    shown = Text(text[start:end].replace("\n\n", "\n"))
    marks = [(a, b) for a, b in matches if start <= a and b <= end]
    for a, b in marks:
        # Blank lines before a mark were folded above.
        folded = text.count("\n\n", start, a)
        shown.stylize(_MARK, a - start - folded, b - start - folded)
    return Text("…" if start else "") + shown + Text("…" if end < len(text) else "")


def _explanation(hit: Hit) -> Text:
    parts = []
    for name, leg in hit.legs.items():
        if leg is None:
            parts.append(f"{name}: not found")
        else:
            rank = "not a candidate" if leg.rank is None else f"rank {leg.rank}"
            parts.append(f"{name}: {rank}, score {leg.score:.3f}")
    lines = ["; ".join(parts)]
    if hit.explanation is not None:
        lines += _explanation_lines(hit, hit.explanation)
    return Text("\n".join(lines), style="green")


def _explanation_lines(hit: Hit, explanation: Explanation) -> Iterator[str]:
    if explanation.parts:
        sums = " + ".join(
            f"{weight:.2f} x {normalised:.3f} ({name})"
            for name, (weight, normalised) in explanation.parts.items()
        )
        yield f"fused: {hit.fused:.3f} = {sums}"
    if hit.reranked is not None:
        ranks = hit.reranked.rank_change
        change = f"{abs(ranks)} ranks {'up' if ranks > 0 else 'down'}" if ranks else "same rank"
        yield f"reranker: score {hit.reranked.score:.3f}, {change}"
    terms = [term for term in explanation.terms if term.weight]
    if terms:
        yield "terms: " + ", ".join(f"{harmless(t.term)} {t.score:.2f}" for t in terms[:_TERMS])
    if explanation.added:
        yield "added by feedback: " + ", ".join(harmless(t) for t, _ in explanation.added[:_TERMS])
    if explanation.closest is not None:
        closest = explanation.closest
        sentence = " ".join(harmless(hit.chunk.text[closest.start : closest.end]).split())
        yield f"closest: {textwrap.shorten(sentence, 160)} ({closest.similarity:.2f})"


def print_context(context: Context, as_json: bool) -> None:
    """Print a grounding context as a language model gets it."""
    if not as_json:
        print(harmless(context.text))
        return
    print_json(
        {
            "tokens": context.tokens,
            "text": context.text,
            "passages": [
                dataclasses.asdict(passage)
                | {"chunk_ids": [str(id) for id in passage.chunk_ids], "citation": passage.citation}
                for passage in context.passages
            ],
        }
    )


def print_facets(key: str, counts: Mapping[str, int]) -> None:
    """Print a table of values and the number of passages with each."""
    table = Table()
    table.add_column(printable(key), overflow="fold")
    table.add_column("passages", justify="right")
    for value, count in counts.items():
        table.add_row(Text(printable(value)), str(count))
    Console(highlight=False).print(table)
