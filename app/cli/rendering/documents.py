"""Output of `twotower list` and `twotower show`."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from twotower.app.cli.rendering.output import harmless, printable
from twotower.retrieval.vocabulary.documents import Chunk, DocumentRecord, with_page


def print_documents(documents: Sequence[DocumentRecord]) -> None:
    """Print a table of documents."""
    if not documents:
        print("no documents")
        return
    table = Table()
    for name in ("document", "title", "pages", "chunks", "ingested"):
        right = name in ("pages", "chunks")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for record in documents:
        table.add_row(
            Text(printable(record.source)),
            Text(printable(record.title)),
            "-" if record.pages is None else str(record.pages),
            str(record.chunks),
            record.ingested_at[:16].replace("T", " "),
        )
    console = Console(highlight=False)
    console.print(table)
    for record in documents:
        if record.outdated:
            line = f"{printable(record.source)}: {printable(record.outdated)}"
            console.print(Text.assemble(("out of date ", "yellow"), line), soft_wrap=True)
        for warning in record.warnings:
            line = f"{printable(record.source)}: {printable(warning)}"
            console.print(Text.assemble(("incomplete  ", "yellow"), line), soft_wrap=True)


def print_chunks(record: DocumentRecord, chunks: Sequence[Chunk]) -> None:
    """Print the chunks of a document, each with the prefix that is encoded before its text."""
    console = Console(highlight=False)
    console.print(Text(f"{printable(record.source)}  {record.title}", style="bold"), soft_wrap=True)
    for chunk in chunks:
        origin = chunk.provenance
        offsets = f"[{chunk.position}] characters {origin.start} to {origin.end}"
        head = with_page(offsets, origin.page)
        console.print(Text(head, style="cyan"), soft_wrap=True)
        if chunk.prefix:
            console.print(Padding(Text(f"({chunk.prefix})", style="dim"), (0, 0, 0, 4)))
        console.print(Padding(Text(harmless(chunk.text)), (0, 0, 1, 4)))
