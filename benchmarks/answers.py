"""Quality of the answers without a language model on examples/handbook, and of their check.

    .venv/bin/python -m benchmarks.answers

Prints the share of the sentences quoted by `twotower ask` that come from a document that answers
the question, and the share of the questions whose first quoted sentence does.

Then it measures two cosines to check the constant `SUPPORTED` of `twotower.app.answering.checking`:
that of a sentence to the closest sentence of an unrelated passage (a random one of another
document), and that of the same sentence without every third word to the closest sentence of its own
passage.
"""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.handbook import EXAMPLES, QUERIES
from twotower.app.answering.checking import SUPPORTED
from twotower.app.services.evaluation import bench
from twotower.app.services.ingestion import Ingestion
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.evaluation.dataset import Dataset
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.search.sentences import sentence_spans

_PAIRS = 1000
_MIN_WORDS = 6


def quoted(
    application: Application, collection: Collection, dataset: Dataset
) -> tuple[float, float]:
    """Return the shares of all and of first quoted sentences that come from a relevant document."""
    answerer = application.answerer(collection)
    shares, first = [], []
    for id, judged in dataset.judged.items():
        relevant = {name.partition("#")[0] for name, score in judged.items() if score > 0}
        answer = answerer.answer(dataset.questions[id])
        sources = [citation.source in relevant for c in answer.claims for citation in c.citations]
        shares.append(np.mean(sources))
        first.append(sources[0])
    return float(np.mean(shares)), float(np.mean(first))


def closeness(application: Application, collection: Collection) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines of sentences to unrelated passages, and of shortened ones to their own."""
    chunks = list(collection.all_chunks())
    sentences = [
        (chunk, chunk.text[start:end])
        for chunk in chunks
        for start, end in sentence_spans(chunk.text)
        if len(chunk.text[start:end].split()) >= _MIN_WORDS
    ]
    rng = np.random.default_rng(0)
    encode = application.encoder().encode_passages
    unrelated, own = [], []
    for n in rng.choice(len(sentences), _PAIRS):
        chunk, sentence = sentences[n]
        other = chunks[int(rng.integers(len(chunks)))]
        while other.provenance.source == chunk.provenance.source:
            other = chunks[int(rng.integers(len(chunks)))]
        words = [word for index, word in enumerate(sentence.split()) if index % 3]
        spans = [[c.text[a:b] for a, b in sentence_spans(c.text)] for c in (other, chunk)]
        rows = encode([sentence, " ".join(words), *spans[0], *spans[1]])
        split = 2 + len(spans[0])
        unrelated.append(float((rows[2:split] @ rows[0]).max()))
        own.append(float((rows[split:] @ rows[1]).max()))
    return np.array(unrelated), np.array(own)


def main() -> None:
    """Ingest the handbook into a temporary collection and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        application = Application(load_settings({}, data_dir=Path(folder), collection="handbook"))
        with Ingestion(application, [EXAMPLES / "handbook"], "handbook") as ingestion:
            list(ingestion.run())
        with bench(application, None, QUERIES, None, lambda *_: None) as opened:
            shares, first = quoted(application, opened.collection, opened.dataset)
            print(f"{len(opened.dataset.judged)} questions that the handbook answers")
            print(f"quoted sentences from a relevant document:           {shares:.3f}")
            print(f"questions with a first sentence from a relevant one: {first:.3f}")
            unrelated, own = closeness(application, opened.collection)
    print(f"\nshare of sentences judged as supported (cosine of at least {SUPPORTED}):")
    print(f"by a passage of another document:         {(unrelated >= SUPPORTED).mean():.3f}")
    print(f"shortened by a third, by its own passage: {(own >= SUPPORTED).mean():.3f}")
    print(f"99th percentile of unrelated passages:    {np.percentile(unrelated, 99):.3f}")


if __name__ == "__main__":
    main()
