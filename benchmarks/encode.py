"""How near encoding comes to what the processor can do, and to the model it was compiled from.

    .venv/bin/python -m benchmarks.encode [DIR] [--passages N] [--rounds N]

DIR is a folder of labelled questions (corpus.jsonl, queries.jsonl); without it, the chunks and
questions of the example handbook. Turn by turn, in one run:

- the product's encoder, against a bare OpenVINO loop over the same batches of the same tokens;
- both against `SentenceTransformer.encode` in fp32, on every eighth passage;
- one question at a time, against the bare call on its tokens.

Then how near the vectors are to those of `SentenceTransformer.encode` in fp32. Times depend on the
machine; compare the ratios.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, cast

from app.ingestion import Ingestion
from app.settings import load_settings
from app.wiring import Application
from benchmarks.handbook import EXAMPLES, QUERIES
from evaluation.dataset import read_corpus, read_dataset
from retrieval.runtime.openvino_runtime import CompiledNetwork, OpenVinoEncoder, batches
from retrieval.runtime.torch_runtime import TorchEncoder

SAMPLE = 8


def texts_of(application: Application, folder: Path | None) -> tuple[list[str], list[str]]:
    """Read passages and questions: of a labelled set, or of the handbook, ingested."""
    if folder is not None:
        passages = [f"{d.title}. {d.text}" if d.title else d.text for d in read_corpus(folder)]
        return passages, list(read_dataset(folder).questions.values())
    with Ingestion(application, [EXAMPLES / "handbook"], "handbook") as ingestion:
        list(ingestion.run())
    with application.catalog.open("handbook") as collection:
        chunks = [c for d in collection.documents() for c in collection.chunks_of(d.source)]
    questions = [json.loads(line)["text"] for line in QUERIES.read_text("utf-8").splitlines()]
    return [chunk.encoded_text for chunk in chunks], questions


class Bare:
    """The compiled graph and nothing around it: tokens in, vectors out."""

    def __init__(
        self, network: CompiledNetwork, tower: str, texts: Sequence[str], soon: bool
    ) -> None:
        self._queue: Any = network._graph(tower, soon).queue  # noqa: SLF001 - the same graph
        encodings = network._tokenizer(tower).encode_batch(list(texts))  # noqa: SLF001 - as above
        lengths = [len(encoding) for encoding in encodings]
        budget = 1 if soon else network._machine.batch_tokens  # noqa: SLF001 - as above
        self.order = list(batches(lengths, budget))
        self._batches = [
            network._tensors([encodings[place] for place in batch])  # noqa: SLF001 - as above
            for batch in self.order
        ]

    def run(self) -> None:
        """Compute every batch once."""
        self._compute(self._batches)

    def one(self, place: int) -> None:
        """Compute one batch."""
        self._compute(self._batches[place : place + 1])

    def _compute(self, batches: Sequence[Any]) -> None:
        rows: list[Any] = []
        self._queue.set_callback(
            lambda request, _: rows.append(request.get_output_tensor(0).data.copy())
        )
        for tensors in batches:
            self._queue.start_async(tensors)
        self._queue.wait_all()


def seconds(work: Callable[[], object]) -> float:
    """Time a piece of work."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def cosines(one: Any, other: Any) -> str:
    """Describe the cosines of paired rows."""
    values = (one * other).sum(axis=1)
    return f"least {values.min():.6f}, mean {values.mean():.6f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How fast and how exact encoding is.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--passages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        application = Application(load_settings({}, data_dir=Path(data), runtime="openvino"))
        passages, questions = texts_of(application, asked.folder)
    passages, questions = passages[: asked.passages], questions[:200]
    encoder = cast("OpenVinoEncoder", application.encoder())
    exact = TorchEncoder(application.model(), "fp32").network
    every = passages[::SAMPLE]
    bare = Bare(encoder.network, "passage", passages, soon=False)
    encoder.encode_passages(passages[:64])
    exact.encode(passages[:8], show_progress_bar=False)
    rows = [
        (
            seconds(lambda: encoder.encode_passages(passages)),
            seconds(bare.run),
            seconds(lambda: exact.encode(every, show_progress_bar=False))
            * (len(passages) / len(every)),
        )
        for _ in range(asked.rounds)
    ]
    product, alone, torch = (median(column) for column in zip(*rows, strict=True))
    print(f"{len(passages)} passages, {asked.rounds} rounds, medians")
    print("| encoder | passages/s | against the product's |\n|---|---|---|")
    for name, took in (
        ("the product's", product),
        ("bare OpenVINO, the same batches", alone),
        ("SentenceTransformer.encode, fp32", torch),
    ):
        print(f"| {name} | {len(passages) / took:.1f} | {product / took:.3f} |")
    ratio = median(ours / theirs for ours, theirs, _ in rows)
    print(f"time of the product / bare loop, median of the rounds: {ratio:.3f}")
    gain = median(theirs / ours for ours, _, theirs in rows)
    print(f"time of fp32 torch / product, median of the rounds: {gain:.2f}")

    one = Bare(encoder.network, "question", questions, soon=True)
    times: list[tuple[float, float]] = []
    for place in range(len(questions)):
        question = questions[one.order[place][0]]
        times.append(
            (
                seconds(lambda: encoder.encode_questions([question])),  # noqa: B023 - run at once
                seconds(lambda: one.one(place)),  # noqa: B023 - as above
            )
        )
    ours, theirs = (median(column) * 1000 for column in zip(*times, strict=True))
    print(
        f"one question: p50 {ours:.2f} ms, the bare call {theirs:.2f} ms, ratio {ours / theirs:.2f}"
    )
    found = encoder.encode_passages(passages), encoder.encode_questions(questions)
    wanted = (
        exact.encode(passages, normalize_embeddings=True, show_progress_bar=False),
        exact.encode(questions, normalize_embeddings=True, show_progress_bar=False),
    )
    print(f"cosine to fp32, {len(passages)} passages: {cosines(found[0], wanted[0])}")
    print(f"cosine to fp32, {len(questions)} questions: {cosines(found[1], wanted[1])}")


if __name__ == "__main__":
    main()
