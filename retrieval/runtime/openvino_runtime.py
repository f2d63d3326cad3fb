"""Compiled networks on OpenVINO: no torch, a first vector after 0.3 s."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from retrieval.errors import ConfigurationError
from retrieval.model_folder import ModelFolder
from retrieval.runtime.cache import Manifest
from retrieval.vectors import Vectors, unit_rows

Text = str | tuple[str, str]

_EMBEDDING, _TOKENS = 0, 1  # outputs of a tower's graph
FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
# Not part of the graphs: in bf16, every score near 1 would become the same.
ACTIVATIONS: dict[str, Callable[[Vectors], Vectors]] = {
    "identity": lambda scores: scores,
    "sigmoid": lambda scores: 0.5 + 0.5 * np.tanh(0.5 * scores),  # does not overflow
}
TOKENIZER = "tokenizer.json"
_GROUP = 1024  # texts that are tokenised while the group before them is computed

# Imported by openvino where it is installed, it reports every import and conversion to its maker.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Machine:
    """How much of this machine a network may use, and how.

    Attributes
    ----------
    threads
        Cores.
    bf16
        Whether passages and pairs are computed in bf16, which halves their time where the
        processor has it. Questions are always computed in fp32: they are few, and short.
    batch_tokens
        Tokens of one forward pass, padding included.
    """

    threads: int = 1
    bf16: bool = False
    batch_tokens: int = 4096


class Turns:
    """A lock that goes to whoever has waited longest; its owner can see that somebody waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._given = 0
        self._called = 0

    def __enter__(self) -> None:
        with self._changed:
            mine = self._given
            self._given += 1
            self._changed.wait_for(lambda: self._called == mine)

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._called += 1
            self._changed.notify_all()

    def pass_on(self) -> None:
        """Let whoever waits go first."""
        self.__exit__()
        self.__enter__()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for the owner."""
        return self._given - self._called > 1


@dataclass(frozen=True)
class _Graph:
    """A graph on this processor, the requests that may run on it at once, and whose turn it is."""

    queue: Any
    turns: Turns


class CompiledNetwork:
    """The graphs of one model, each put on this processor when it is first used."""

    def __init__(self, folder: Path, manifest: Manifest, machine: Machine) -> None:
        self.manifest = manifest
        self._folder = folder
        self._machine = machine
        self._graphs: dict[tuple[str, bool], _Graph] = {}
        self._compiling = threading.Lock()
        self._reading = threading.Lock()
        self._tokenizers: dict[str, Tokenizer] = {}
        # Padding is set when the tokenizer is saved, and done here: batches are cut by length.
        self._padding: Mapping[str, Any] = {}

    def run(
        self, tower: str, texts: Sequence[Text], output: int = 0, *, soon: bool = False
    ) -> list[NDArray[np.float32]]:
        """Compute one output for each text, in their order.

        Parameters
        ----------
        tower
            A key of the manifest's graphs.
        texts
            Texts, or pairs of them.
        output
            Which output of the graph. One of three dimensions (texts, tokens, d) gives the
            text's own tokens, without special ones.
        soon
            In fp32, one batch at a time with all cores on it, for an early answer; else as many
            batches at a time as make the most of the cores.
        """
        graph, tokenizer = self._graph(tower, soon), self._tokenizer(tower)
        queue, turns = graph.queue, graph.turns
        prompt = self.manifest.prompts.get(tower, "")
        results: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(texts)

        def keep(request: Any, batch: list[tuple[int, Encoding]]) -> None:
            rows = request.get_output_tensor(output).data
            for row, (place, encoding) in zip(rows, batch, strict=True):
                results[place] = row[self._own(encoding, len(row))] if row.ndim > 1 else row.copy()

        with turns:
            queue.set_callback(keep)
            # Tokenised while the group before is computed: start_async waits for a free request.
            for first in range(0, len(texts), _GROUP):
                group = [_prompted(prompt, text) for text in texts[first : first + _GROUP]]
                encodings = tokenizer.encode_batch(group)
                lengths = [len(encoding) for encoding in encodings]
                for batch in batches(lengths, self._machine.batch_tokens):
                    if turns.wanted:  # a reranker's few passages do not wait for an ingestion's
                        queue.wait_all()
                        turns.pass_on()
                        queue.set_callback(keep)
                    queue.start_async(
                        self._tensors([encodings[place] for place in batch]),
                        [(first + place, encodings[place]) for place in batch],
                    )
            queue.wait_all()
        return results

    def _tensors(self, encodings: Sequence[Encoding]) -> list[NDArray[np.int64]]:
        """Pad a batch to its longest: one (texts, tokens) array for each input of the graph."""
        width = max(1, *(len(encoding) for encoding in encodings))
        left = self._padding.get("direction") == "left"
        fill = {"input_ids": self._padding.get("pad_id", 0)}
        arrays = [
            np.full((len(encodings), width), fill.get(name, 0), np.int64)
            for name in self.manifest.inputs
        ]
        for place, encoding in enumerate(encodings):
            stretch = slice(width - len(encoding), None) if left else slice(len(encoding))
            for name, array in zip(self.manifest.inputs, arrays, strict=True):
                array[place, stretch] = getattr(encoding, FIELDS[name])
        return arrays

    def _own(self, encoding: Encoding, width: int) -> NDArray[np.intp]:
        """Places of a text's own tokens in a row of a padded batch."""
        own = np.flatnonzero(np.isin(encoding.ids, self.manifest.special_ids, invert=True))
        left = self._padding.get("direction") == "left"
        return own + (width - len(encoding)) if left else own

    def _tokenizer(self, tower: str) -> Tokenizer:
        with self._reading:
            if tower not in self._tokenizers:
                tokenizer: Tokenizer = Tokenizer.from_file(str(self._folder / TOKENIZER))
                self._padding = tokenizer.padding or {}
                tokenizer.no_padding()
                direction = (tokenizer.truncation or {}).get("direction", "right")
                tokenizer.enable_truncation(self.manifest.lengths[tower], direction=direction)
                self._tokenizers[tower] = tokenizer
            return self._tokenizers[tower]

    def _graph(self, tower: str, soon: bool) -> _Graph:
        key = tower, soon
        if key not in self._graphs:  # a question's, which is there, does not wait for a passage's
            with self._compiling:
                if key not in self._graphs:
                    self._graphs[key] = self._compiled(tower, soon)
        return self._graphs[key]

    def _compiled(self, tower: str, soon: bool) -> _Graph:
        bf16 = self._machine.bf16 and not soon and has_bf16()
        try:
            import openvino  # noqa: PLC0415 - 0.1 s

            compiled = openvino.Core().compile_model(
                self._folder / self.manifest.graphs[tower],
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY" if soon else "THROUGHPUT",
                    "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
                    "INFERENCE_NUM_THREADS": self._machine.threads,
                    # Two processes that pin their threads would share a core and leave one idle.
                    "ENABLE_CPU_PINNING": False,
                },
            )
            requests = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
            return _Graph(openvino.AsyncInferQueue(compiled, requests), Turns())
        except (ImportError, OSError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else ""
            raise ConfigurationError(
                f"OpenVINO cannot run {self.manifest.name} here ({reason}): set "
                "TWOTOWER_RUNTIME=torch"
            ) from error


class OpenVinoEncoder:
    """A bi-encoder compiled for this processor.

    Parameters
    ----------
    model
        The source model's files.
    network
        What was compiled of it.
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
        return self._vectors(self.network.run("question", texts, _EMBEDDING, soon=True))

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode_passages`."""
        return self._vectors(self.network.run("passage", texts, _EMBEDDING))

    def question_tokens(self, text: str) -> Vectors:
        """See `Encoder.question_tokens`."""
        return unit_rows(self.network.run("question", [text], _TOKENS, soon=True)[0])

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
    """Whether this processor computes in bf16; emulation would be slower than fp32."""
    import openvino  # noqa: PLC0415 - 0.1 s

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Cut texts into batches of similar lengths, longest first.

    Parameters
    ----------
    lengths
        Tokens of each text.
    budget
        The most tokens of a batch with its padding; a longer text is a batch of its own.

    Yields
    ------
    Places in ``lengths``.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    first = 0
    while first < len(order):
        last = first + max(1, budget // max(1, lengths[order[first]]))
        yield order[first:last]
        first = last


def _prompted(prompt: str, text: Text) -> Text:
    return prompt + text if isinstance(text, str) else (prompt + text[0], text[1])
