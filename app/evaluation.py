"""Evaluation as the command line runs it: on a corpus of its own, or on a live collection."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from app.ingestion import chunk_settings
from app.wiring import Application
from evaluation import chunking, corpus, measure
from evaluation.calibrate import Calibrated, calibrate
from evaluation.dataset import Dataset, read_corpus, read_dataset
from evaluation.tune import FEWEST_QUESTIONS, Tuned, candidates, choose
from retrieval.collection import Collection
from retrieval.errors import ConfigurationError
from retrieval.model_folder import load_tokenizer
from retrieval.options import Rerank, SearchOptions
from retrieval.retriever import Retriever
from retrieval.types import Mode

Progress = Callable[[str, int, int], None]  # what, how many now, of how many (0: not known)


@dataclass(frozen=True, slots=True)
class Bench:
    """A collection, open, with the questions to ask it; ``live``: it stays after the run."""

    dataset: Dataset
    collection: Collection
    retriever: Retriever
    live: bool


@contextmanager
def bench(
    application: Application,
    folder: Path | None,
    queries: Path | None,
    collection: str | None,
    progress: Progress,
) -> Iterator[Bench]:
    """Open what is to be measured.

    Parameters
    ----------
    folder
        In BEIR's layout; its corpus goes into a temporary collection.
    queries
        Questions whose judgements name documents of ``collection``, in place of a folder.

    Raises
    ------
    ConfigurationError
        If neither or both are given, or files are missing or malformed.
    """
    if (folder is None) == (queries is None):
        raise ConfigurationError(
            "name a folder with corpus.jsonl, queries.jsonl and qrels, or --queries with questions "
            "on a live collection"
        )
    if folder is not None and (folder / "corpus.jsonl").exists():
        with _temporary(application, folder, progress) as opened:
            yield opened
        return
    place = queries or folder
    if folder is not None and not (folder / "queries.jsonl").is_file():
        raise ConfigurationError(
            f"{folder} has no queries.jsonl: it is no set of labelled questions"
        )
    assert place is not None
    with application.catalog.open(collection or application.settings.collection) as live:
        known = frozenset(record.source for record in live.documents())
        yield Bench(read_dataset(place, known), live, application.retriever(live), live=True)


@contextmanager
def _temporary(application: Application, folder: Path, progress: Progress) -> Iterator[Bench]:
    documents = read_corpus(folder)
    dataset = read_dataset(folder, frozenset(document.id for document in documents))
    settings = chunk_settings(application)
    with tempfile.TemporaryDirectory(prefix="twotower-eval-") as place:
        catalog = application.local_catalog(Path(place))
        encoder = application.encoder()
        with corpus.write(
            [c for document in documents for c in corpus.chunks_of(document, encoder, settings)],
            encoder,
            settings,
            application.settings.language,
            lambda card: catalog.create("evaluation", card),
            lambda count: progress("encoding passages", count, 0),
        ) as collection:
            yield Bench(dataset, collection, application.retriever(collection), live=False)


def systems(
    base: SearchOptions, modes: Sequence[Mode], reranks: Sequence[Rerank]
) -> list[SearchOptions]:
    """The ways to search that are compared: each mode, and the base reranked."""
    base = replace(base, limit=measure.DEPTH, depth=max(base.depth, measure.DEPTH))
    plain = [replace(base, mode=mode, rerank="none") for mode in modes]
    hybrid = replace(base, mode=modes[0])
    return plain + [replace(hybrid, rerank=kind) for kind in reranks if kind != "none"]


def label(options: SearchOptions) -> str:
    """Name a way to search, for people."""
    parts: list[str] = [options.mode]
    if options.mode == "hybrid" and options.fusion != "convex":
        parts.append(options.fusion)
    if options.mode == "hybrid" and options.dense_weight != SearchOptions().dense_weight:
        parts.append(f"dense {options.dense_weight:g}")
    if options.feedback:
        parts.append(f"feedback {options.feedback} x {options.feedback_weight:g}")
    if options.rerank != "none":
        parts.append(f"{options.rerank} {options.rerank_weight:g}")
    return ", ".join(parts)


def run_systems(
    opened: Bench, tried: Sequence[SearchOptions], progress: Progress
) -> list[measure.SystemResult]:
    """Measure each way to search; the first question is asked once before the clock runs."""
    asked = len(opened.dataset.judged)
    results = []
    for options in tried:
        first = next(iter(opened.dataset.judged))
        opened.retriever.retrieve(opened.dataset.questions[first], options)
        what = label(options)
        results.append(
            measure.run(
                opened.retriever, opened.dataset, options, partial(_advance, progress, what, asked)
            )
        )
    return results


def _advance(progress: Progress, what: str, total: int, count: int) -> None:
    progress(what, count, total)


def run_tuning(opened: Bench, reranks: Sequence[Rerank], progress: Progress) -> Tuned:
    """Try the candidates on the questions; see `evaluation.tune.choose`."""
    asked = len(opened.dataset.judged)
    if asked < FEWEST_QUESTIONS:
        raise ConfigurationError(
            f"{asked} judged questions are too few to tune on: at least {FEWEST_QUESTIONS} are "
            "needed, or what is chosen is chance"
        )
    base = SearchOptions(limit=measure.DEPTH, depth=measure.DEPTH)
    return choose(run_systems(opened, candidates(base, reranks), progress))


TUNED = (
    "mode", "fusion", "dense_weight", "depth", "rerank", "rerank_weight", "feedback",
    "feedback_weight",
)  # fmt: skip


def keep_winner(collection: Collection, winner: SearchOptions) -> dict[str, object]:
    """Write what differs from the defaults to the card; what was written."""
    default = SearchOptions()
    chosen = {n: getattr(winner, n) for n in TUNED if getattr(winner, n) != getattr(default, n)}
    if chosen.get("depth") == measure.DEPTH:
        del chosen["depth"]
    card = collection.card()
    collection.write_card(replace(card, search=chosen))
    return chosen


def run_calibration(opened: Bench, options: SearchOptions, progress: Progress) -> Calibrated:
    """Calibrate, and keep it on the card."""
    dataset = opened.dataset
    asked = len(dataset.questions) + len(dataset.judged)
    result = calibrate(
        opened.retriever,
        dataset,
        replace(options, limit=1),
        lambda n: progress("calibrating", n, asked),
    )
    card = opened.collection.card()
    kept = {**card.calibrations, options.rerank: result.calibration}
    opened.collection.write_card(replace(card, calibrations=kept))
    return result


def run_chunking(
    application: Application, folder: Path, progress: Progress
) -> dict[str, float | int]:
    """Measure the chunk settings in force on labelled excerpts."""
    questions = chunking.read_questions(folder)
    settings, encoder = chunk_settings(application), application.encoder()
    tokenizer = load_tokenizer(encoder.model.path)
    places, tokens, chunks = {}, {}, []
    for name in sorted({question.corpus for question in questions}):
        raw = (folder / f"{name}.md").read_text(encoding="utf-8")
        for chunk, stretch in chunking.chunks_of(name, raw, encoder, settings):
            places[chunk.id] = stretch
            chunks.append(chunk)
        tokens[name] = tokenizer.encode(raw, add_special_tokens=False).offsets
    with tempfile.TemporaryDirectory(prefix="twotower-eval-") as place:
        catalog = application.local_catalog(Path(place))
        with corpus.write(
            chunks,
            encoder,
            settings,
            application.settings.language,
            lambda card: catalog.create("evaluation", card),
            lambda count: progress("encoding passages", count, len(chunks)),
        ) as collection:
            retriever = application.retriever(collection, limit=chunking.RETRIEVED)
            overlaps = []
            for question in questions:
                hits = retriever.retrieve(question.text)
                found = [
                    places[hit.chunk.id]
                    for hit in hits
                    if hit.chunk.provenance.source == f"{question.corpus}.md"
                ]
                elsewhere = sum(
                    len(tokenizer.encode(hit.chunk.text, add_special_tokens=False).ids)
                    for hit in hits
                    if hit.chunk.provenance.source != f"{question.corpus}.md"
                )
                overlaps.append(
                    chunking.overlap(found, question.references, tokens[question.corpus], elsewhere)
                )
                progress("asking", 1, len(questions))
    count = len(overlaps)
    return {
        "questions": count,
        "chunks": len(chunks),
        "recall": sum(one.recall for one in overlaps) / count,
        "precision": sum(one.precision for one in overlaps) / count,
        "iou": sum(one.iou for one in overlaps) / count,
    }
