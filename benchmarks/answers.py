"""Answers without a language model on examples/handbook, and what its checks let pass.

    .venv/bin/python -m benchmarks.answers

First: how many of the sentences that `twotower ask` quotes come from a document that answers the
question, and for how many questions the first one does. Then, for `app.answer.SUPPORTED`: how close
a sentence comes to the closest one of a passage that has nothing to do with it (a random one of
another document), and to the closest one of its own passage once every third word of it is gone.
"""

import tempfile
from pathlib import Path

import numpy as np

from app.answer import SUPPORTED
from app.evaluation import bench
from app.ingestion import Ingestion
from app.settings import load_settings
from app.wiring import Application
from benchmarks.handbook import EXAMPLES, QUERIES
from evaluation.dataset import Dataset
from retrieval.collection import Collection
from retrieval.sentences import sentence_spans

_PAIRS = 1000
_LEAST_WORDS = 6


def quoted(
    application: Application, collection: Collection, dataset: Dataset
) -> tuple[float, float]:
    """Shares of quoted sentences, and of first ones, that come from a judged document."""
    answerer = application.answerer(collection)
    shares, first = [], []
    for id, judged in dataset.judged.items():
        right = {name.partition("#")[0] for name, score in judged.items() if score > 0}
        answer = answerer.answer(dataset.questions[id])
        sources = [citation.source in right for c in answer.claims for citation in c.citations]
        shares.append(np.mean(sources))
        first.append(sources[0])
    return float(np.mean(shares)), float(np.mean(first))


def closeness(application: Application, collection: Collection) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of sentences with foreign passages, and of shortened ones with their own."""
    chunks = list(collection.all_chunks())
    sentences = [
        (chunk, chunk.text[start:end])
        for chunk in chunks
        for start, end in sentence_spans(chunk.text)
        if len(chunk.text[start:end].split()) >= _LEAST_WORDS
    ]
    rng = np.random.default_rng(0)
    encode = application.encoder().encode_passages
    foreign, own = [], []
    for n in rng.choice(len(sentences), _PAIRS):
        chunk, sentence = sentences[n]
        other = chunks[int(rng.integers(len(chunks)))]
        while other.provenance.source == chunk.provenance.source:
            other = chunks[int(rng.integers(len(chunks)))]
        words = [word for place, word in enumerate(sentence.split()) if place % 3]
        spans = [[c.text[a:b] for a, b in sentence_spans(c.text)] for c in (other, chunk)]
        rows = encode([sentence, " ".join(words), *spans[0], *spans[1]])
        split = 2 + len(spans[0])
        foreign.append(float((rows[2:split] @ rows[0]).max()))
        own.append(float((rows[split:] @ rows[1]).max()))
    return np.array(foreign), np.array(own)


def main() -> None:
    """Ingest the handbook into a temporary collection and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        application = Application(load_settings({}, data_dir=Path(folder), collection="handbook"))
        with Ingestion(application, [EXAMPLES / "handbook"], "handbook") as ingestion:
            list(ingestion.run())
        with bench(application, None, QUERIES, None, lambda *_: None) as opened:
            shares, first = quoted(application, opened.collection, opened.dataset)
            print(f"{len(opened.dataset.judged)} questions that the handbook answers")
            print(f"quoted sentences from a document that answers: {shares:.3f}")
            print(f"questions whose first quotation is from one:   {first:.3f}")
            foreign, own = closeness(application, opened.collection)
    print(f"\nof sentences, taken for supported (cosine of at least {SUPPORTED}):")
    print(f"by a passage of another document:            {(foreign >= SUPPORTED).mean():.3f}")
    print(f"shortened by a third, by the passage itself: {(own >= SUPPORTED).mean():.3f}")
    print(f"99 of 100 foreign ones are below {np.percentile(foreign, 99):.3f}")


if __name__ == "__main__":
    main()
