"""Evaluation: on the corpus of a data set, or on an existing collection."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from twotower.app.services.ingestion import chunk_settings
from twotower.app.wiring import Application
from twotower.evaluation import chunking, corpus, measure
from twotower.evaluation.calibrate import Calibrated, calibrate
from twotower.evaluation.dataset import Dataset, read_corpus, read_dataset
from twotower.evaluation.tune import FEWEST_QUESTIONS, Tuned, candidates, choose
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.legs import Leg, create_legs
from twotower.retrieval.models.model_folder import load_tokenizer
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.search.retriever import Retriever
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import ConfigurationError

Progress = Callable[[str, int, int], None]  # step, units just done, all units (0: unknown)


@dataclass(frozen=True, slots=True)
class Bench:
    """An open collection with labelled questions.

    Attributes
    ----------
    live
        True for a collection that stays after the run.
    """

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
    """Open the collection to measure.

    Parameters
    ----------
    folder
        Data set in BEIR's layout; its corpus is ingested into a temporary collection.
    queries
        File of questions whose judgements name documents of ``collection``, in place of a folder.

    Raises
    ------
    ConfigurationError
        If neither or both are given, or files are missing or malformed.
    """
    if (folder is None) == (queries is None):
        raise ConfigurationError(
            "choose one data set: either a folder with corpus.jsonl, queries.jsonl and qrels, or a "
            "queries.jsonl with questions on an existing collection"
        )
    if folder is not None and (folder / "corpus.jsonl").exists():
        with _temporary(application, folder, progress) as opened:
            yield opened
        return
    dataset = queries or folder
    if folder is not None and not (folder / "queries.jsonl").is_file():
        raise ConfigurationError(
            f"{folder} has no queries.jsonl: choose a folder with labelled questions"
        )
    assert dataset is not None
    with application.catalog.open(collection or application.settings.collection) as live:
        known = frozenset(record.source for record in live.documents())
        yield Bench(read_dataset(dataset, known), live, application.retriever(live), live=True)


@contextmanager
def _temporary(application: Application, folder: Path, progress: Progress) -> Iterator[Bench]:
    documents = read_corpus(folder)
    dataset = read_dataset(folder, frozenset(document.id for document in documents))
    encoder = application.encoder()
    settings = chunk_settings(application.settings, encoder.model)
    with tempfile.TemporaryDirectory(prefix="twotower-eval-") as data_dir:
        catalog = application.local_catalog(Path(data_dir))
        chunks = [
            c for document in documents for c in corpus.chunks_of(document, encoder, settings)
        ]
        with corpus.write(
            chunks,
            _legs_for(application, chunks),
            settings,
            lambda card: catalog.create("evaluation", card),
            lambda count: progress("encoding passages", count, 0),
        ) as collection:
            yield Bench(dataset, collection, application.retriever(collection), live=False)


def _legs_for(application: Application, chunks: Sequence[Chunk]) -> Mapping[str, Leg]:
    texts = [chunk.encoded_text for chunk in chunks]
    return create_legs(application.settings.legs, application.models, texts)


def systems(
    base: SearchOptions, modes: Sequence[str], reranks: Sequence[str]
) -> list[SearchOptions]:
    """Return the options to compare: each mode, and the first mode with each reranker."""
    base = replace(base, limit=measure.DEPTH, depth=max(base.depth, measure.DEPTH))
    plain = [replace(base, mode=mode, rerank="none") for mode in modes]
    hybrid = replace(base, mode=modes[0])
    return plain + [replace(hybrid, rerank=kind) for kind in reranks if kind != "none"]


def label(options: SearchOptions) -> str:
    """Describe search options in a few words."""
    parts: list[str] = [options.mode]
    if options.mode == "hybrid" and options.fusion != "convex":
        parts.append(options.fusion)
    if options.mode == "hybrid" and options.weights:
        parts += [f"{name} {weight:g}" for name, weight in options.weights.items()]
    if options.feedback:
        parts.append(f"feedback {options.feedback} x {options.feedback_weight:g}")
    if options.rerank != "none":
        parts.append(f"{options.rerank} {options.rerank_weight:g}")
    return ", ".join(parts)


def run_systems(
    bench: Bench, compared: Sequence[SearchOptions], progress: Progress
) -> list[measure.SystemResult]:
    """Measure each of some options; one search before each measurement warms up."""
    total = len(bench.dataset.judged)
    results = []
    for options in compared:
        first = next(iter(bench.dataset.judged))
        bench.retriever.retrieve(bench.dataset.questions[first], options)
        what = label(options)
        results.append(
            measure.run(
                bench.retriever, bench.dataset, options, partial(_advance, progress, what, total)
            )
        )
    return results


def _advance(progress: Progress, what: str, total: int, count: int) -> None:
    progress(what, count, total)


def run_tuning(bench: Bench, reranks: Sequence[str], progress: Progress) -> Tuned:
    """Measure the candidates on the questions, and choose; see `evaluation.tune.choose`."""
    count = len(bench.dataset.judged)
    if count < FEWEST_QUESTIONS:
        raise ConfigurationError(
            f"{count} judged questions are too few to tune on, because the choice would be chance: "
            f"use at least {FEWEST_QUESTIONS}"
        )
    base = SearchOptions(limit=measure.DEPTH, depth=measure.DEPTH)
    legs = [leg.name for leg in bench.retriever.card.legs]
    return choose(run_systems(bench, candidates(base, reranks, legs), progress))


TUNED = (
    "mode", "fusion", "weights", "depth", "rerank", "rerank_weight", "feedback",
    "feedback_weight",
)  # fmt: skip


def keep_winner(collection: Collection, winner: SearchOptions) -> dict[str, object]:
    """Write the options that differ from the defaults to the card, and return them."""
    default = SearchOptions()
    chosen = {n: getattr(winner, n) for n in TUNED if getattr(winner, n) != getattr(default, n)}
    if chosen.get("depth") == measure.DEPTH:
        del chosen["depth"]
    card = collection.card()
    collection.write_card(replace(card, search=chosen))
    return chosen


def run_calibration(bench: Bench, options: SearchOptions, progress: Progress) -> Calibrated:
    """Calibrate the judgement of answers, and write the calibration to the card."""
    dataset = bench.dataset
    total = len(dataset.questions) + len(dataset.judged)
    result = calibrate(
        bench.retriever,
        dataset,
        replace(options, limit=1),
        lambda n: progress("calibrating", n, total),
    )
    card = bench.collection.card()
    kept = {**card.calibrations, options.rerank: result.calibration}
    bench.collection.write_card(replace(card, calibrations=kept))
    return result


def run_chunking(
    application: Application, folder: Path, progress: Progress
) -> dict[str, float | int]:
    """Measure the present chunk settings on labelled excerpts."""
    questions = chunking.read_questions(folder)
    encoder = application.encoder()
    settings = chunk_settings(application.settings, encoder.model)
    tokenizer = load_tokenizer(encoder.model.path)
    excerpts, tokens, chunks = {}, {}, []
    for name in sorted({question.corpus for question in questions}):
        raw = (folder / f"{name}.md").read_text(encoding="utf-8")
        for chunk, span in chunking.chunks_of(name, raw, encoder, settings):
            excerpts[chunk.id] = span
            chunks.append(chunk)
        tokens[name] = tokenizer.encode(raw, add_special_tokens=False).offsets
    with tempfile.TemporaryDirectory(prefix="twotower-eval-") as data_dir:
        catalog = application.local_catalog(Path(data_dir))
        with corpus.write(
            chunks,
            _legs_for(application, chunks),
            settings,
            lambda card: catalog.create("evaluation", card),
            lambda count: progress("encoding passages", count, len(chunks)),
        ) as collection:
            retriever = application.retriever(collection, limit=chunking.RETRIEVED)
            overlaps = []
            for question in questions:
                hits = retriever.retrieve(question.text).hits
                retrieved = [
                    excerpts[hit.chunk.id]
                    for hit in hits
                    if hit.chunk.provenance.source == f"{question.corpus}.md"
                ]
                elsewhere = sum(
                    len(tokenizer.encode(hit.chunk.text, add_special_tokens=False).ids)
                    for hit in hits
                    if hit.chunk.provenance.source != f"{question.corpus}.md"
                )
                overlaps.append(
                    chunking.overlap(
                        retrieved, question.references, tokens[question.corpus], elsewhere
                    )
                )
                progress("searching", 1, len(questions))
    count = len(overlaps)
    return {
        "questions": count,
        "chunks": len(chunks),
        "recall": sum(one.recall for one in overlaps) / count,
        "precision": sum(one.precision for one in overlaps) / count,
        "iou": sum(one.iou for one in overlaps) / count,
    }
