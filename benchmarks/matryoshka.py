"""Matryoshka in numbers: quality by dimension, and adaptive search against a full one.

    .venv/bin/python -m benchmarks.matryoshka ../shared/data/cranfield --encoder RUN/model

`by dimension` is nDCG@10 of a short vector alone: the first numbers (`prefix`), and the directions
in which the passages differ most (`rotated`, as the leg `short` has them). `adaptive` looks for
candidates with a quarter of the numbers, and orders them by the whole vectors; it prints for how
many questions the first 10 are those of the whole vectors, in order, and the bytes that are read.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twotower.app.services.ingestion import chunk_settings
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.evaluation import corpus
from twotower.evaluation.dataset import Dataset, read_corpus, read_dataset
from twotower.evaluation.measure import compute_measures, rank_places
from twotower.retrieval.legs.short import directions
from twotower.retrieval.vocabulary.vectors import Vectors, unit_rows

_SHARES = (1, 2, 4, 8)
_FACTORS = (1, 2, 4, 8, 16)
_TOP, _DEPTH = 10, 100
_BYTES = 4
_SAMPLE = 1000  # passages that the rotation is made of, as in the leg `short`


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", help="A folder or a name.  [default: the setting]")
    parser.add_argument("--only", type=Path, help="Questions of this file of ids alone (JSON).")
    options = parser.parse_args(arguments)
    chosen = {"encoder": options.encoder} if options.encoder else {}
    application = Application(load_settings(None, **chosen))
    encoder = application.encoder()
    dataset = read_dataset(options.folder)
    settings = chunk_settings(application.settings, encoder.model)
    chunks = [
        c for d in read_corpus(options.folder) for c in corpus.chunks_of(d, encoder, settings)
    ]
    sources = [chunk.provenance.source for chunk in chunks]
    passages = encoder.encode_passages([chunk.encoded_text for chunk in chunks])
    ids = list(dataset.judged)
    if options.only:
        wanted = set(json.loads(options.only.read_text()))
        ids = [id for id in ids if id in wanted]
    questions = encoder.encode_questions([dataset.questions[id] for id in ids])
    print(
        f"{options.folder.name}, {encoder.model.name}: {len(ids)} questions, {len(chunks)} passages"
    )
    rotation = directions(passages[:_SAMPLE], passages.shape[1]).T
    for name, turn in (("prefix", np.eye(len(rotation), dtype=np.float32)), ("rotated", rotation)):
        print(f" {name}")
        by_dimension(dataset, ids, sources, questions @ turn, passages @ turn)
        adaptive(questions @ turn, passages @ turn)


def by_dimension(
    dataset: Dataset,
    ids: Sequence[str],
    sources: Sequence[str],
    questions: Vectors,
    passages: Vectors,
) -> None:
    """Print nDCG@10 of prefixes of the vectors."""
    whole = 0.0
    for share in _SHARES:
        length = questions.shape[1] // share
        scores = unit_rows(questions[:, :length]) @ unit_rows(passages[:, :length]).T
        ranked = np.argsort(-scores, axis=1, kind="stable")[:, :_DEPTH]
        judged = {id: dataset.judged[id] for id in ids}
        rankings = {
            id: rank_places(((sources[row], None) for row in rows), judged[id])
            for id, rows in zip(ids, ranked, strict=True)
        }
        mean = float(compute_measures(rankings, judged, ["ndcg@10"])["ndcg@10"].mean())
        whole = whole or mean
        print(f"  by dimension: {length:4} nDCG@10 {mean:.4f}, {mean / whole:.1%} of the whole")


def adaptive(questions: Vectors, passages: Vectors) -> None:
    """Print how often candidates of a prefix give the whole vectors' first ten."""
    dimension = questions.shape[1]
    length = dimension // 4
    whole = questions @ passages.T
    first = unit_rows(questions[:, :length]) @ unit_rows(passages[:, :length]).T
    best = np.argsort(-whole, axis=1, kind="stable")[:, :_TOP]
    by_prefix = np.argsort(-first, axis=1, kind="stable")
    for factor in _FACTORS:
        some = by_prefix[:, : factor * _TOP]
        order = np.argsort(-np.take_along_axis(whole, some, axis=1), axis=1, kind="stable")
        found = np.take_along_axis(some, order, axis=1)[:, :_TOP]
        equal = float((found == best).all(axis=1).mean())
        read = len(passages) * length * _BYTES + factor * _TOP * dimension * _BYTES
        share = read / (len(passages) * dimension * _BYTES)
        print(
            f"  adaptive: {factor * _TOP:4} candidates, first ten equal for {equal:.1%}, "
            f"{read:,} bytes a question ({share:.1%})"
        )


if __name__ == "__main__":
    main()
