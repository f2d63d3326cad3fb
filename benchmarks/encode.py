"""Speed and accuracy of the encoder, compared with the bare runtime and with the original model.

    .venv/bin/python -m benchmarks.encode [DIR] [--passages N] [--rounds N]

DIR is a folder of labelled questions (corpus.jsonl, queries.jsonl). Without it, the benchmark uses
the chunks and questions of the example handbook. It times these in turn, in one run:

- twotower's encoder, and a bare OpenVINO loop over the same batches of the same tokens;
- `SentenceTransformer.encode` in fp32, on every eighth passage;
- twotower's encoder on one question at a time, and the bare call on its tokens.

Then it prints the cosines between twotower's vectors and those of `SentenceTransformer.encode` in
fp32. Times depend on the machine; compare the ratios.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, cast

from benchmarks.handbook import EXAMPLES, QUERIES
from twotower.app.services.ingestion import Ingestion
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.evaluation.dataset import read_corpus, read_dataset
from twotower.retrieval.models.runtime.openvino_runtime import (
    CompiledNetwork,
    OpenVinoEncoder,
    batches,
)
from twotower.retrieval.models.runtime.torch_runtime import TorchEncoder

SAMPLE = 8


def texts_of(application: Application, folder: Path | None) -> tuple[list[str], list[str]]:
    """Return passages and questions of a labelled set, or of the ingested handbook."""
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
    """The compiled graph alone, from tokens to vectors."""

    def __init__(
        self, network: CompiledNetwork, tower: str, texts: Sequence[str], soon: bool
    ) -> None:
        self._queue: Any = network._graph(tower, soon).queue  # noqa: SLF001 - the same graph
        encodings = network._tokenizer(tower).encode_batch(list(texts))  # noqa: SLF001 - as above
        lengths = [len(encoding) for encoding in encodings]
        budget = 1 if soon else network._settings.batch_tokens  # noqa: SLF001 - as above
        self.order = list(batches(lengths, budget))
        self._batches = [
            network._tensors([encodings[index] for index in batch])  # noqa: SLF001 - as above
            for batch in self.order
        ]

    def run(self) -> None:
        """Compute every batch once."""
        self._compute(self._batches)

    def one(self, index: int) -> None:
        """Compute one batch."""
        self._compute(self._batches[index : index + 1])

    def _compute(self, batches: Sequence[Any]) -> None:
        rows: list[Any] = []
        self._queue.set_callback(
            lambda request, _: rows.append(request.get_output_tensor(0).data.copy())
        )
        for tensors in batches:
            self._queue.start_async(tensors)
        self._queue.wait_all()


def seconds(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def cosines(one: Any, other: Any) -> str:
    """Format minimum and mean of the cosines between paired rows."""
    values = (one * other).sum(axis=1)
    return f"minimum {values.min():.6f}, mean {values.mean():.6f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure speed and accuracy of the encoder.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--passages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        application = Application(load_settings({}, data_dir=Path(data), runtime="openvino"))
        passages, questions = texts_of(application, arguments.folder)
    passages, questions = passages[: arguments.passages], questions[:200]
    encoder = cast("OpenVinoEncoder", application.models.encoder().loaded())
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
        for _ in range(arguments.rounds)
    ]
    product, bare_loop, torch = (median(column) for column in zip(*rows, strict=True))
    print(f"{len(passages)} passages, {arguments.rounds} rounds, medians")
    print("| encoder | passages/s | relative to twotower |\n|---|---|---|")
    for name, duration in (
        ("twotower", product),
        ("bare OpenVINO, the same batches", bare_loop),
        ("SentenceTransformer.encode, fp32", torch),
    ):
        print(f"| {name} | {len(passages) / duration:.1f} | {product / duration:.3f} |")
    ratio = median(ours / theirs for ours, theirs, _ in rows)
    print(f"time of twotower / bare loop, median of the rounds: {ratio:.3f}")
    gain = median(theirs / ours for ours, _, theirs in rows)
    print(f"time of fp32 torch / twotower, median of the rounds: {gain:.2f}")

    one = Bare(encoder.network, "question", questions, soon=True)
    times: list[tuple[float, float]] = []
    for index in range(len(questions)):
        question = questions[one.order[index][0]]
        times.append(
            (
                seconds(lambda: encoder.encode_questions([question])),  # noqa: B023 - run at once
                seconds(lambda: one.one(index)),  # noqa: B023 - as above
            )
        )
    ours, theirs = (median(column) * 1000 for column in zip(*times, strict=True))
    print(f"one question: p50 {ours:.2f} ms, bare call {theirs:.2f} ms, ratio {ours / theirs:.2f}")
    vectors = encoder.encode_passages(passages), encoder.encode_questions(questions)
    fp32 = (
        exact.encode(passages, normalize_embeddings=True, show_progress_bar=False),
        exact.encode(questions, normalize_embeddings=True, show_progress_bar=False),
    )
    print(f"cosine to fp32, {len(passages)} passages: {cosines(vectors[0], fp32[0])}")
    print(f"cosine to fp32, {len(questions)} questions: {cosines(vectors[1], fp32[1])}")


if __name__ == "__main__":
    main()
