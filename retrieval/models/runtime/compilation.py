"""Converts a sentence-transformers model to graphs for OpenVINO, and verifies them.

Pooling and normalisation are part of the traced graph; the tokenizer is saved as transformers set
it up. The conversion is verified by measurement: for texts of different kinds the graphs must give
the results of torch. If they do not, torch runs the model.
"""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers.base.modules import Router

from twotower.retrieval.models.runtime.cache import Manifest
from twotower.retrieval.models.runtime.openvino_runtime import (
    ACTIVATIONS,
    FIELDS,
    TOKENIZER,
    CompiledNetwork,
    ExecutionSettings,
    OpenVinoEncoder,
    OpenVinoPairScorer,
    has_bf16,
)
from twotower.retrieval.models.runtime.torch_runtime import TorchEncoder, TorchPairScorer

_TEXTS = (
    "guarantee",
    "What is the torque of flange bolt KC-7/b, in Nm?",
    "  Leading and trailing space,\n\na break,\tand Ünïcödé: naïve café, 東京, Ω, 🙂.  ",
    "The pump is started only after the valve has been opened by hand. " * 4,
    "A text far longer than any window: its end must not be read, on either runtime. " * 200,
)
_PAIRS = (
    ("how long is the guarantee", "The guarantee is 24 months."),
    ("how long is the guarantee", "Lunch is served from noon to two."),
    ("torque of the flange bolts", _TEXTS[3]),
    ("torque of the flange bolts", _TEXTS[4]),
    (_TEXTS[2], _TEXTS[1]),
)


class _Uncompilable(Exception):
    """Only torch can run this model; the message gives the reason."""


class _Tower(torch.nn.Module):
    """A bi-encoder for tracing: its inputs are tensors, its outputs text and token vectors."""

    def __init__(self, network: Any, task: str, inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self._task = task
        self._inputs = inputs

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = dict(zip(self._inputs, tensors, strict=True))
        output = self.network(features, task=self._task)
        return output["sentence_embedding"].float(), output["token_embeddings"].float()


class _Scorer(torch.nn.Module):
    """A cross-encoder for tracing: its inputs are tensors, its output scores before activation."""

    def __init__(self, network: Any, inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self._inputs = inputs

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        features = dict(zip(self._inputs, tensors, strict=True))
        scores: torch.Tensor = self.network(features)["scores"]
        scores = scores.float()
        return scores.squeeze(-1) if self.network.num_labels == 1 else scores


def compile_model(
    source: TorchEncoder | TorchPairScorer, folder: Path, threads: int = 1
) -> Manifest:
    """Write the graphs and the tokenizer of a model into an empty folder, and verify them.

    Returns
    -------
    The manifest. If the model cannot be compiled, it gives the reason, and the folder is empty.

    Raises
    ------
    ConfigurationError
        If the model cannot be loaded.
    OSError
        If the disk is full.
    """
    build = _encoder if isinstance(source, TorchEncoder) else _cross_encoder
    try:
        with _quiet():
            return build(source, folder, threads)  # type: ignore[arg-type]
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - tracing runs a module of unknown origin
        for file in folder.iterdir():
            file.unlink()
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return Manifest(source.model.name, source.model.fingerprint, refused=reason)


def _encoder(source: TorchEncoder, folder: Path, threads: int) -> Manifest:
    network, model = source.network, source.model
    inputs = _save_tokenizer(network, folder)
    split = any(isinstance(module, Router) for module in network.modules())
    graphs = {"question": "question.xml", "passage": "passage.xml" if split else "question.xml"}
    for tower, task in {"question": "query", "passage": "document"}.items():
        if not (folder / graphs[tower]).exists():
            tower_module = _Tower(network, task, inputs)
            _trace(tower_module, network, inputs, _TEXTS[:2], folder / graphs[tower])
    first = network[0]
    manifest = Manifest(
        model.name,
        model.fingerprint,
        inputs=inputs,
        graphs=graphs,
        prompts={
            "question": _prompt(network, model.question_prompt, "query"),
            "passage": _prompt(network, model.passage_prompt, "document", "passage", "corpus"),
        },
        lengths={
            "question": int(getattr(first, "query_length", None) or model.window),
            "passage": int(getattr(first, "document_length", None) or model.window),
        },
        special_ids=tuple(network.tokenizer.all_special_ids),
        dimension=source.dimension,
    )
    return _verified(
        manifest,
        folder,
        ExecutionSettings(threads),
        lambda compiled: _least_cosine(source, OpenVinoEncoder(model, compiled)),
        thresholds={"fp32": 0.9999, "bf16": 0.999},
    )


def _cross_encoder(source: TorchPairScorer, folder: Path, threads: int) -> Manifest:
    network, model = source.network, source.model
    activation = type(network.activation_fn).__name__.lower()
    if activation not in ACTIVATIONS:
        raise _Uncompilable(f"its activation function is {activation}")
    inputs = _save_tokenizer(network, folder)
    _trace(_Scorer(network, inputs), network, inputs, _PAIRS[:2], folder / "pair.xml")
    manifest = Manifest(
        model.name,
        model.fingerprint,
        inputs=inputs,
        graphs={"pair": "pair.xml"},
        prompts={"pair": _prompt(network, None)},
        lengths={"pair": network.max_length},
        activation=activation,
    )
    return _verified(
        manifest,
        folder,
        ExecutionSettings(threads),
        lambda compiled: 1 - _largest_difference(source, OpenVinoPairScorer(compiled)),
        thresholds={"fp32": 0.995, "bf16": 0.98},
    )


def _save_tokenizer(network: Any, folder: Path) -> tuple[str, ...]:
    """Save the tokenizer as transformers set it up; return the names of the network's inputs."""
    tokenizer: Any = getattr(network, "tokenizer", None)  # a tower of letter trigrams has none
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise _Uncompilable("it has no fast tokenizer")
    if tokenizer.pad_token_id is None:
        raise _Uncompilable("its tokenizer has no padding token")
    features = network.preprocess(["a text"])
    inputs = tuple(name for name in features if hasattr(features[name], "shape"))
    if unknown := set(inputs) - FIELDS.keys():
        raise _Uncompilable(
            f"it needs the inputs {', '.join(sorted(unknown))}, which only torch prepares"
        )
    backend.enable_truncation(1, direction=tokenizer.truncation_side)
    backend.enable_padding(direction=tokenizer.padding_side, pad_id=tokenizer.pad_token_id)
    (folder / TOKENIZER).write_text(backend.to_str(), encoding="utf-8")
    return inputs


def _trace(
    module: Any, network: Any, inputs: tuple[str, ...], examples: Sequence[Any], file: Path
) -> None:
    """Convert a module to a graph for any batch size and length, with weights in fp16."""
    import openvino  # noqa: PLC0415 - if it cannot be imported, torch runs the model

    features = network.preprocess(list(examples))
    with torch.inference_mode():
        graph = openvino.convert_model(
            module.eval(), example_input=tuple(features[name].cpu() for name in inputs)
        )
    graph.reshape(dict.fromkeys(range(len(inputs)), openvino.PartialShape([-1, -1])))
    openvino.save_model(graph, file, compress_to_fp16=True)


def _prompt(network: Any, configured: str | None, *names: str) -> str:
    """Return a tower's prompt: configured, or as `encode_query` or `encode_document` choose it."""
    if configured is not None:
        return configured
    name = next((name for name in names if name in network.prompts), network.default_prompt_name)
    return network.prompts.get(name) or "" if name is not None else ""


def _verified(
    manifest: Manifest,
    folder: Path,
    settings: ExecutionSettings,
    measure: Callable[[CompiledNetwork], float],
    thresholds: Mapping[str, float],
) -> Manifest:
    """Compare with torch in both precisions: fp32 must agree, and bf16 is used if it agrees."""
    fp32 = measure(CompiledNetwork(folder, manifest, settings))
    if not fp32 >= thresholds["fp32"]:
        raise _Uncompilable(
            f"the compiled model gives different results: its agreement with torch is {fp32:.4f}"
        )
    bf16 = measure(CompiledNetwork(folder, manifest, replace(settings, bf16=True)))
    return replace(manifest, bf16=has_bf16() and bf16 >= thresholds["bf16"])


def _least_cosine(source: TorchEncoder, compiled: OpenVinoEncoder) -> float:
    """Compare the vectors of texts and tokens: the lowest cosine, or 0 if the tokens differ."""
    texts = list(_TEXTS)
    expected, actual = source.passage_tokens(texts), compiled.passage_tokens(texts)
    expected += [source.question_tokens(text) for text in texts]
    actual += [compiled.question_tokens(text) for text in texts]
    if [rows.shape for rows in expected] != [rows.shape for rows in actual]:
        return 0.0
    expected += [source.encode_passages(texts), source.encode_questions(texts)]
    actual += [compiled.encode_passages(texts), compiled.encode_questions(texts)]
    return min(float((a * b).sum(axis=1).min()) for a, b in zip(expected, actual, strict=True))


def _largest_difference(source: TorchPairScorer, compiled: OpenVinoPairScorer) -> float:
    """Compare scores: the largest difference, divided by their range (by 1 if that is smaller)."""
    expected, actual = source.score(_PAIRS), compiled.score(_PAIRS)
    if expected.shape != actual.shape:
        return 1.0
    return float(np.abs(expected - actual).max() / max(np.ptp(expected), 1.0))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings of the tracer; the results are measured afterwards."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
