"""A description of one collection: its card, versions, size, and what is wrong with it."""

from dataclasses import dataclass

from twotower.app.wiring import Application
from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.index.catalog import Versions
from twotower.retrieval.vocabulary.errors import TwoTowerError


@dataclass(frozen=True, slots=True)
class Overview:
    """A collection as the index page shows it.

    Attributes
    ----------
    stray
        Number of chunks that differ from what the document records say, in either direction.
    size
        Bytes on disk; ``None`` where that is not known.
    encoder_problem
        Reason why the encoder of the collection cannot be used; empty where it can.
    """

    card: IndexCard
    versions: Versions
    documents: int
    chunks: int
    stray: int
    size: int | None
    encoder_problem: str


def describe(application: Application, name: str) -> Overview:
    """Describe a collection."""
    catalog = application.catalog
    versions = catalog.versions(name)
    with catalog.open(name, short_lived=True) as collection:
        card = collection.card()
        counts = collection.chunk_counts()
        recorded = {record.source: record.chunks for record in collection.documents()}
    sources = counts.keys() | recorded.keys()
    return Overview(
        card,
        versions,
        len(recorded),
        sum(counts.values()),
        sum(abs(counts.get(source, 0) - recorded.get(source, 0)) for source in sources),
        catalog.size(name),
        encoder_problem(application, card),
    )


def encoder_problem(application: Application, card: IndexCard) -> str:
    """Explain why the encoder of a collection cannot be used; empty where it can."""
    try:
        _ = application.models.encoder(card.encoder).model
    except TwoTowerError as error:
        return str(error)
    return ""
