"""Compiled networks on OpenVINO, without torch: the first vector is ready after 0.3 s."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from twotower.retrieval.models.model_folder import ModelFolder
from twotower.retrieval.models.runtime.cache import Manifest
from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.retrieval.vocabulary.vectors import Vectors, unit_rows

Text = str | tuple[str, str]

_EMBEDDING, _TOKENS = 0, 1  # outputs of the graph of a tower
FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
# Not part of the graphs: in bf16, all scores near 1 would become equal.
ACTIVATIONS: dict[str, Callable[[Vectors], Vectors]] = {
    "identity": lambda scores: scores,
    "sigmoid": lambda scores: 0.5 + 0.5 * np.tanh(0.5 * scores),  # does not overflow
}
TOKENIZER = "tokenizer.json"
_GROUP = 1024  # texts that are tokenised while the previous group is computed

# openvino imports this module if it is installed; it reports imports and conversions to its vendor.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


@dataclass(frozen=True)
class ExecutionSettings:
    """Settings for running a network on this machine.

    Attributes
    ----------
    threads
        Number of processor cores to use.
    bf16
        True if passages and pairs are computed in bf16, which halves their time if the processor
        supports it. Questions are always computed in fp32: they are few, and short.
    batch_tokens
        Number of tokens of one forward pass, including padding.
    """

    threads: int = 1
    bf16: bool = False
    batch_tokens: int = 4096


class FairLock:
    """A lock that threads get in the order in which they ask for it (a ticket lock).

    The thread that holds it can see that others are waiting.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next_ticket = 0
        self._served_ticket = 0

    def __enter__(self) -> None:
        with self._changed:
            ticket = self._next_ticket
            self._next_ticket += 1
            self._changed.wait_for(lambda: self._served_ticket == ticket)

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._served_ticket += 1
            self._changed.notify_all()

    def yield_to_waiting(self) -> None:
        """Release the lock, and acquire it again after the threads that are waiting for it."""
        self.__exit__()
        self.__enter__()

    @property
    def has_waiting(self) -> bool:
        """True if a thread is waiting for the lock."""
        return self._next_ticket - self._served_ticket > 1


@dataclass(frozen=True)
class _Graph:
    """A graph on this processor: the queue of its parallel requests, and the lock of the queue."""

    queue: Any
    lock: FairLock


def _own_tokens(
    special_ids: Sequence[int], left: bool, encoding: Encoding, width: int
) -> NDArray[np.intp]:
    """Indices of a text's own tokens in a row of a padded batch."""
    own = np.flatnonzero(np.isin(encoding.ids, special_ids, invert=True))
    return own + (width - len(encoding)) if left else own


class CompiledNetwork:
    """The graphs of one model, each loaded when it is first used."""

    def __init__(self, folder: Path, manifest: Manifest, settings: ExecutionSettings) -> None:
        self.manifest = manifest
        self._folder = folder
        self._settings = settings
        self._graphs: dict[tuple[str, bool], _Graph] = {}
        self._graph_lock = threading.Lock()
        self._tokenizer_lock = threading.Lock()
        self._tokenizers: dict[str, Tokenizer] = {}
        # The saved tokenizer has the padding settings; `_tensors` pads, because batches are made by
        # length.
        self._padding: Mapping[str, Any] = {}

    def run(
        self, tower: str, texts: Sequence[Text], output: int = 0, *, low_latency: bool = False
    ) -> list[NDArray[np.float32]]:
        """Compute one output for each text, in their order.

        Parameters
        ----------
        tower
            Name of a graph in the manifest.
        texts
            Texts, or pairs of texts.
        output
            Number of the graph's output. If it has three dimensions (texts, tokens, d), the result
            has the rows of the text's own tokens, without special tokens.
        low_latency
            True: compute in fp32, one batch at a time on all cores, for an early result. False:
            compute several batches at a time, for the highest throughput.
        """
        graph, tokenizer = self._graph(tower, low_latency), self._tokenizer(tower)
        queue, lock = graph.queue, graph.lock
        prompt = self.manifest.prompts.get(tower, "")
        results: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(texts)
        own_tokens = partial(_own_tokens, self.manifest.special_ids, self._pads_left)

        # The queue keeps it, so it must not refer to this object: neither would ever be freed.
        def save_rows(request: Any, batch: list[tuple[int, Encoding]]) -> None:
            rows = request.get_output_tensor(output).data
            for row, (index, encoding) in zip(rows, batch, strict=True):
                results[index] = row[own_tokens(encoding, len(row))] if row.ndim > 1 else row.copy()

        with lock:
            queue.set_callback(save_rows)
            # start_async returns before the result is there, so the next group is tokenised while
            # this one is computed. It waits only if no request is free.
            for first in range(0, len(texts), _GROUP):
                group = [_add_prompt(prompt, text) for text in texts[first : first + _GROUP]]
                encodings = tokenizer.encode_batch(group)
                lengths = [len(encoding) for encoding in encodings]
                for batch in batches(lengths, self._settings.batch_tokens):
                    if lock.has_waiting:  # the reranker does not wait for the end of an ingestion
                        queue.wait_all()
                        lock.yield_to_waiting()
                        queue.set_callback(save_rows)
                    queue.start_async(
                        self._tensors([encodings[index] for index in batch]),
                        [(first + index, encodings[index]) for index in batch],
                    )
            queue.wait_all()
        return results

    def _tensors(self, encodings: Sequence[Encoding]) -> list[NDArray[np.int64]]:
        """Pad a batch to its longest text: a (texts, tokens) array for each input of the graph."""
        width = max(1, *(len(encoding) for encoding in encodings))
        left = self._pads_left
        fill = {"input_ids": self._padding.get("pad_id", 0)}
        arrays = [
            np.full((len(encodings), width), fill.get(name, 0), np.int64)
            for name in self.manifest.inputs
        ]
        for row, encoding in enumerate(encodings):
            columns = slice(width - len(encoding), None) if left else slice(len(encoding))
            for name, array in zip(self.manifest.inputs, arrays, strict=True):
                array[row, columns] = getattr(encoding, FIELDS[name])
        return arrays

    @property
    def _pads_left(self) -> bool:
        return self._padding.get("direction") == "left"

    def _tokenizer(self, tower: str) -> Tokenizer:
        with self._tokenizer_lock:
            if tower not in self._tokenizers:
                tokenizer: Tokenizer = Tokenizer.from_file(str(self._folder / TOKENIZER))
                self._padding = tokenizer.padding or {}
                tokenizer.no_padding()
                direction = (tokenizer.truncation or {}).get("direction", "right")
                tokenizer.enable_truncation(self.manifest.lengths[tower], direction=direction)
                self._tokenizers[tower] = tokenizer
            return self._tokenizers[tower]

    def _graph(self, tower: str, low_latency: bool) -> _Graph:
        key = tower, low_latency
        if key not in self._graphs:  # a loaded graph does not wait for another one that is loading
            with self._graph_lock:
                if key not in self._graphs:
                    self._graphs[key] = self._load_graph(tower, low_latency)
        return self._graphs[key]

    def _load_graph(self, tower: str, low_latency: bool) -> _Graph:
        bf16 = self._settings.bf16 and not low_latency and has_bf16()
        try:
            import openvino  # noqa: PLC0415 - takes 0.1 s, and torch runs without it

            compiled = openvino.Core().compile_model(
                self._folder / self.manifest.graphs[tower],
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY" if low_latency else "THROUGHPUT",
                    "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
                    "INFERENCE_NUM_THREADS": self._settings.threads,
                    # Two processes that pin their threads share a core and leave another one idle.
                    "ENABLE_CPU_PINNING": False,
                },
            )
            requests = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
            return _Graph(openvino.AsyncInferQueue(compiled, requests), FairLock())
        except (ImportError, OSError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else ""
            raise ConfigurationError(
                f"OpenVINO cannot run {self.manifest.name} on this machine ({reason}): set "
                "TWOTOWER_RUNTIME=torch"
            ) from error


class OpenVinoEncoder:
    """A bi-encoder compiled for this processor.

    Parameters
    ----------
    model
        Files of the source model.
    network
        Compiled form of the model.
    """

    def __init__(self, model: ModelFolder, network: CompiledNetwork) -> None:
        self.model = model
        self.network = network

    @property
    def dimension(self) -> int:
        """See `Encoder.dimension`."""
        return self.network.manifest.dimension

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode_questions`."""
        return self._vectors(self.network.run("question", texts, _EMBEDDING, low_latency=True))

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode_passages`."""
        return self._vectors(self.network.run("passage", texts, _EMBEDDING))

    def question_tokens(self, text: str) -> Vectors:
        """See `Encoder.question_tokens`."""
        return unit_rows(self.network.run("question", [text], _TOKENS, low_latency=True)[0])

    def passage_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """See `Encoder.passage_tokens`."""
        return [unit_rows(rows) for rows in self.network.run("passage", texts, _TOKENS)]

    def _vectors(self, rows: Sequence[Vectors]) -> Vectors:
        return unit_rows(np.reshape(rows, (len(rows), self.dimension)))


class OpenVinoPairScorer:
    """A cross-encoder compiled for this processor."""

    def __init__(self, network: CompiledNetwork) -> None:
        self._network = network

    def score(self, pairs: Sequence[tuple[str, str]]) -> Vectors:
        """See `PairScorer.score`."""
        activate = ACTIVATIONS[self._network.manifest.activation]
        return activate(np.asarray(self._network.run("pair", pairs), np.float32))


def has_bf16() -> bool:
    """Return True if this processor computes in bf16; emulation would be slower than fp32."""
    import openvino  # noqa: PLC0415 - takes 0.1 s, and torch runs without it

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Divide texts into batches of similar lengths, longest first.

    Parameters
    ----------
    lengths
        Number of tokens of each text.
    budget
        Maximum number of tokens of a batch, including padding; a longer text is a batch of its own.

    Yields
    ------
    Indices into ``lengths``.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    first = 0
    while first < len(order):
        last = first + max(1, budget // max(1, lengths[order[first]]))
        yield order[first:last]
        first = last


def _add_prompt(prompt: str, text: Text) -> Text:
    return prompt + text if isinstance(text, str) else (prompt + text[0], text[1])
