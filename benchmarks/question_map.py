"""The question map: what its settings and sources give, on questions held out.

    .venv/bin/python -m benchmarks.question_map DIR...      # folders in the layout of BEIR

For each data set and each variant it prints nDCG@10 of hybrid and dense search with the map, on
questions that the map was not learned from (five parts), and p of the paired randomisation test
against no map. The settings of the product stand first. Last come the verdict of `twotower train`,
which divides the questions several times, and the time of a search with the map, divided by that of
one without, question by question in turn.
"""

import argparse
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from twotower.app.services.evaluation import Bench, bench
from twotower.app.services.learning import Learner, MapTrial
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.vocabulary.vectors import Vectors
from twotower.training.examples import Passages
from twotower.training.question_map import DEFAULT, MapSettings, learn

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_MOST_PAIRS = 2000  # from the text alone
_RESAMPLES = 5
_TIMED, _ROUNDS = 200, 3  # questions, and searches of each


def variants(pairs: dict[str, tuple[Vectors, Vectors]]) -> Iterator[tuple[str, Learner]]:
    """Yield each variant with the function that learns it."""
    yield "labels (the product)", learn
    for penalty in (0.005, 0.01, 0.05, 0.1, 0.3):
        yield f"penalty {penalty:g}", partial(learn, settings=replace(DEFAULT, penalty=penalty))
    for scale in (10.0, 40.0):
        yield f"scale {scale:g}", partial(learn, settings=replace(DEFAULT, scale=scale))
    for steps in (20, 80):
        yield f"{steps} steps", partial(learn, settings=replace(DEFAULT, steps=steps))
    for rank in (16, 32, 64):
        yield f"rank {rank}", partial(of_rank, rank)
    yield f"mean of {_RESAMPLES} resamples", resampled
    for source, (questions, targets) in pairs.items():
        yield f"{source} alone, no label", partial(from_text, questions, targets)
        for share in (0.1, 0.3):
            yield f"labels and {share:.0%} {source}", partial(both, questions, targets, share)


def of_rank(rank: int, questions: Vectors, targets: Vectors, passages: Vectors) -> Vectors:
    """Keep only the strongest directions of the change."""
    identity = np.eye(questions.shape[1], dtype=np.float32)
    left, sizes, right = np.linalg.svd(learn(questions, targets, passages) - identity)
    matrix: Vectors = identity + (left[:, :rank] * sizes[:rank]) @ right[:rank]
    return matrix


def resampled(questions: Vectors, targets: Vectors, passages: Vectors) -> Vectors:
    """Average the maps of random 60% of the questions."""
    random = np.random.default_rng(1)
    size = int(0.6 * len(questions))
    parts = [random.permutation(len(questions))[:size] for _ in range(_RESAMPLES)]
    maps = [learn(questions[part], targets[part], passages) for part in parts]
    mean: Vectors = np.mean(maps, axis=0)
    return mean


def from_text(
    own: Vectors, own_targets: Vectors, _questions: Vectors, _targets: Vectors, passages: Vectors
) -> Vectors:
    """Learn from titles or sentences; no labelled question is used."""
    return learn(own, own_targets, passages)


def both(
    own: Vectors,
    own_targets: Vectors,
    share: float,
    questions: Vectors,
    targets: Vectors,
    passages: Vectors,
) -> Vectors:
    """Learn from labels, and from titles or sentences with ``share`` of the weight."""
    weights = [np.full(len(questions), (1 - share) / len(questions))]
    weights.append(np.full(len(own), share / len(own)))
    return learn(
        np.concatenate([questions, own]),
        np.concatenate([targets, own_targets]),
        passages,
        np.concatenate(weights).astype(np.float32),
        MapSettings(),
    )


def pairs_of(collection: Collection, encoder: Encoder) -> dict[str, tuple[Vectors, Vectors]]:
    """Make pairs from the text: each title with its document, a sentence with its passage."""
    passages = Passages.of(collection, "dense")
    chunks = {chunk.id: chunk for chunk in collection.all_chunks()}
    documents: dict[str, dict[str, int]] = {}
    sentences, rows = [], []
    random = np.random.default_rng(0)
    for row, id in enumerate(passages.ids):
        chunk = chunks[id]
        if chunk.provenance.title.strip():
            documents.setdefault(chunk.provenance.title, {})[chunk.provenance.source] = 1
        found = [s for s in _SENTENCE.split(chunk.text) if len(s.split()) > 5]  # noqa: PLR2004
        if len(found) > 2:  # noqa: PLR2004 - else the sentence is most of the passage
            sentences.append(found[random.integers(1, len(found))])
            rows.append(row)
    titles = list(documents)[:_MOST_PAIRS]
    chosen = random.permutation(len(sentences))[:_MOST_PAIRS]
    own = np.zeros((len(chosen), len(passages.ids)), np.float32)
    own[np.arange(len(chosen)), [rows[n] for n in chosen]] = 1
    return {
        "titles": (
            encoder.encode_questions(titles),
            passages.targets([documents[title] for title in titles]),
        ),
        "sentences": (encoder.encode_questions([sentences[n] for n in chosen]), own),
    }


def measure(application: Application, folder: Path) -> None:
    """Print the table of one data set."""
    with bench(application, folder, None, None, _quiet) as opened:
        pairs = pairs_of(opened.collection, application.encoder())
        count = len(opened.dataset.judged)
        print(f"\n{folder.name}: {count} questions, {opened.collection.count('chunk')} passages")
        print(f"{'':34} hybrid      p    dense      p  seconds")
        for number, (name, learner) in enumerate(variants(pairs)):
            trial = MapTrial(
                application,
                opened.collection,
                {"labels": opened.dataset},
                _quiet,
                learner,
                repeats=1,
            )
            start = time.perf_counter()
            modes = trial.verdict().modes
            if not number:
                hybrid, dense = (modes[mode].before for mode in ("hybrid", "dense"))
                print(f"{'no map':34}  {hybrid:.4f}         {dense:.4f}")
            columns = "  ".join(
                f"{modes[m].after:.4f} {modes[m].p:6.3f}" for m in ("hybrid", "dense")
            )
            print(f"{name:34}  {columns}  {time.perf_counter() - start:7.1f}", flush=True)
        product(application, opened)


def product(application: Application, opened: Bench) -> None:
    """Print the verdict of `twotower train`, and the time of searches with its map."""
    trial = MapTrial(application, opened.collection, {"labels": opened.dataset}, _quiet)
    verdict = trial.verdict()
    for mode, one in verdict.modes.items():
        print(f"twotower train, {mode}: {one.before:.3f} to {one.after:.3f}, p {one.p:.4f}")
    trial.keep(verdict)
    retrievers = opened.retriever, application.retriever(opened.collection)
    assert [r.card.legs[0].question_map is None for r in retrievers] == [True, False]
    texts = [opened.dataset.questions[id] for id in opened.dataset.judged][:_TIMED]
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(_ROUNDS * len(texts)):
        pairs = [*zip(seconds, retrievers, strict=True)]
        for own, retriever in pairs if number % 2 else pairs[::-1]:
            start = time.perf_counter()
            retriever.retrieve(texts[number % len(texts)])
            own.append(time.perf_counter() - start)
    without, with_map = (float(np.median(own)) for own in seconds)
    print(
        f"median search {1000 * without:.2f} ms without, {1000 * with_map:.2f} ms with the map: "
        f"ratio {with_map / without:.3f}"
    )


def _quiet(_what: str, _count: int, _total: int) -> None:
    """Show no progress."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    application = Application(load_settings())
    for folder in options.folders:
        measure(application, folder)


if __name__ == "__main__":
    main()
