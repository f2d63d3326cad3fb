"""What there is to learn from: questions that people gave, and the text of the collection alone."""

from dataclasses import dataclass
from pathlib import Path

from twotower.app.services.clicks import Clicks
from twotower.app.services.labels import Labels
from twotower.app.wiring import Application
from twotower.evaluation.dataset import Dataset, read_dataset
from twotower.training.examples import Passages, examples_of
from twotower.training.pairs import sentences_of
from twotower.training.verdict import FEWEST_QUESTIONS

_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Source:
    """One source of examples.

    Attributes
    ----------
    questions
        Number of questions, or of texts that can stand for one.
    usable
        Number of those with a passage in the collection.
    judgements
        Number of relevant places.
    samples
        Some of the questions.
    needs_judging
        False for questions that people asked; True for text that only stands for questions.
    """

    name: str
    questions: int
    usable: int
    judgements: int
    samples: tuple[str, ...] = ()
    needs_judging: bool = False


@dataclass(frozen=True, slots=True)
class TrainingData:
    """All sources, and what is wrong with them.

    Attributes
    ----------
    repeated, contradicting, unknown
        See `Examples` and `Dataset`.
    clicks_enabled
        Whether searches are recorded now.
    """

    sources: tuple[Source, ...]
    repeated: int
    contradicting: int
    unknown: int
    clicks_enabled: bool

    @property
    def enough(self) -> bool:
        """Whether `twotower train` can learn from the questions that people gave."""
        usable = sum(source.usable for source in self.sources if not source.needs_judging)
        return usable >= FEWEST_QUESTIONS


def read_training_data(
    application: Application, name: str, queries: Path | None = None
) -> TrainingData:
    """Count what there is to learn from in a collection, a file, the labels and the clicks."""
    settings = application.settings
    with application.catalog.open(name, short_lived=True) as collection:
        known = frozenset(record.source for record in collection.documents())
        dense = next((leg.name for leg in collection.card().legs if leg.kind == "dense"), "dense")
        passages = Passages.of(collection, dense)
        chunks = list(collection.all_chunks())
    datasets: dict[str, Dataset] = {}
    if queries is not None:
        datasets["file"] = read_dataset(queries, known)
    labels = Labels(settings.data_dir, name)
    if labels.answered():
        datasets["labels"] = read_dataset(labels.queries, known)
    clicks = Clicks(settings.data_dir, name, enabled=False)
    datasets["clicks"] = clicks.dataset()
    sources = [_source(kind, dataset, passages) for kind, dataset in datasets.items()]
    titles = {c.provenance.title for c in chunks if c.provenance.title.strip()}
    headings = {c.provenance.headings[-1] for c in chunks if c.provenance.headings}
    sentences = [sentence for chunk in chunks for sentence in sentences_of(chunk.text)]
    for kind, texts in (
        ("titles", sorted(titles)),
        ("headings", sorted(headings)),
        ("sentences", sentences),
        ("questions in the text", [s for s in sentences if s.rstrip().endswith("?")]),
    ):
        count, samples = len(texts), tuple(" ".join(text.split()) for text in texts[:_SAMPLES])
        sources.append(Source(kind, count, count, count, samples, needs_judging=True))
    all_examples = examples_of(datasets)
    unknown = sum(d.unknown_documents + d.unknown_questions for d in datasets.values())
    return TrainingData(
        tuple(sources),
        all_examples.repeated,
        all_examples.contradicting,
        unknown,
        settings.click_log,
    )


def _source(name: str, dataset: Dataset, passages: Passages) -> Source:
    examples = examples_of({name: dataset})
    usable = int(passages.targets(examples.judged).any(axis=1).sum()) if examples.judged else 0
    judgements = sum(grade > 0 for own in examples.judged for grade in own.values())
    count = len(examples.questions)
    return Source(name, count, usable, judgements, examples.questions[:_SAMPLES])
