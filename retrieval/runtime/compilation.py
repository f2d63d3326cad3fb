"""From a sentence-transformers model to graphs for OpenVINO, and the proof that they are it.

Pooling and normalisation are part of the traced graph; the tokenizer is saved as
transformers set it up. Whether all of it came over is not argued but measured: the graphs have to
give what torch gives for texts of every kind, or the model stays on torch.
"""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.runtime.cache import Manifest, need_space
from retrieval.runtime.openvino_runtime import (
    ACTIVATIONS,
    FIELDS,
    TOKENIZER,
    CompiledNetwork,
    Machine,
    OpenVinoEncoder,
    OpenVinoPairScorer,
    has_bf16,
)
from retrieval.runtime.torch_runtime import TorchEncoder, TorchPairScorer

_SIZE = 2  # times the source: what a draft with two towers in fp16 may take, and some more

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
    """Only torch can run this model; the message says why."""


def compile_model(
    source: TorchEncoder | TorchPairScorer, folder: Path, threads: int = 1
) -> Manifest:
    """Write a model's graphs and tokenizer into an empty folder, and prove them.

    Returns
    -------
    A manifest; one that says why where the model cannot be compiled, and then the folder is empty.

    Raises
    ------
    ConfigurationError
        If the model cannot be loaded at all.
    OSError
        If the disk is full.
    """
    weights = source.network.parameters()
    need_space(folder, _SIZE * sum(weight.nbytes for weight in weights))
    build = _encoder if isinstance(source, TorchEncoder) else _cross_encoder
    try:
        with _quiet():
            return build(source, folder, threads)  # type: ignore[arg-type]
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - a stranger's module, traced: anything may happen
        for file in folder.iterdir():
            file.unlink()
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return Manifest(source.model.name, source.model.fingerprint, refused=reason)


def _encoder(source: TorchEncoder, folder: Path, threads: int) -> Manifest:
    from sentence_transformers.base.modules import Router  # noqa: PLC0415 - 5 to 10 s

    network, model = source.network, source.model
    inputs = _save_tokenizer(network, folder)
    split = any(isinstance(module, Router) for module in network.modules())
    graphs = {"question": "question.xml", "passage": "passage.xml" if split else "question.xml"}
    for tower, task in {"question": "query", "passage": "document"}.items():
        if not (folder / graphs[tower]).exists():
            _trace(
                _tower(network, task, inputs), network, inputs, _TEXTS[:2], folder / graphs[tower]
            )
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
    return _proven(
        manifest,
        folder,
        Machine(threads),
        lambda compiled: _likeness(source, OpenVinoEncoder(model, compiled)),
        least={"fp32": 0.9999, "bf16": 0.999},
    )


def _cross_encoder(source: TorchPairScorer, folder: Path, threads: int) -> Manifest:
    network, model = source.network, source.model
    activation = type(network.activation_fn).__name__.lower()
    if activation not in ACTIVATIONS:
        raise _Uncompilable(f"its scores pass through {activation}")
    inputs = _save_tokenizer(network, folder)
    _trace(_scorer(network, inputs), network, inputs, _PAIRS[:2], folder / "pair.xml")
    manifest = Manifest(
        model.name,
        model.fingerprint,
        inputs=inputs,
        graphs={"pair": "pair.xml"},
        prompts={"pair": _prompt(network, None)},
        lengths={"pair": network.max_length},
        activation=activation,
    )
    return _proven(
        manifest,
        folder,
        Machine(threads),
        lambda compiled: 1 - _drift(source, OpenVinoPairScorer(compiled)),
        least={"fp32": 0.995, "bf16": 0.98},
    )


def _save_tokenizer(network: Any, folder: Path) -> tuple[str, ...]:
    """Save the tokenizer as transformers set it up; the names of what it gives to the network."""
    tokenizer = network.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise _Uncompilable("its tokenizer is not a fast one")
    if tokenizer.pad_token_id is None:
        raise _Uncompilable("its tokenizer has no token to pad with")
    features = network.preprocess(["a text"])
    inputs = tuple(name for name in features if hasattr(features[name], "shape"))
    if unknown := set(inputs) - FIELDS.keys():
        raise _Uncompilable(f"it reads {', '.join(sorted(unknown))}, which only torch prepares")
    backend.enable_truncation(1, direction=tokenizer.truncation_side)
    backend.enable_padding(direction=tokenizer.padding_side, pad_id=tokenizer.pad_token_id)
    (folder / TOKENIZER).write_text(backend.to_str(), encoding="utf-8")
    return inputs


def _tower(network: Any, task: str, inputs: tuple[str, ...]) -> Any:
    """Wrap a bi-encoder for tracing: tensors in; vectors of texts and of their tokens out."""
    import torch  # noqa: PLC0415 - 2 s

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            found = self.network(dict(zip(inputs, tensors, strict=True)), task=task)
            return found["sentence_embedding"].float(), found["token_embeddings"].float()

    return Tower()


def _scorer(network: Any, inputs: tuple[str, ...]) -> Any:
    """Wrap a cross-encoder for tracing: tensors in, scores before their activation out."""
    import torch  # noqa: PLC0415 - 2 s

    class Scorer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.network(dict(zip(inputs, tensors, strict=True)))["scores"]
            scores = scores.float()
            return scores.squeeze(-1) if network.num_labels == 1 else scores

    return Scorer()


def _trace(
    module: Any, network: Any, inputs: tuple[str, ...], examples: Sequence[Any], file: Path
) -> None:
    """Convert a module to a graph of any batch and length, with weights in fp16."""
    import openvino  # noqa: PLC0415 - 0.1 s
    import torch  # noqa: PLC0415 - 2 s

    features = network.preprocess(list(examples))
    with torch.inference_mode():
        graph = openvino.convert_model(
            module.eval(), example_input=tuple(features[name].cpu() for name in inputs)
        )
    graph.reshape(dict.fromkeys(range(len(inputs)), openvino.PartialShape([-1, -1])))
    openvino.save_model(graph, file, compress_to_fp16=True)


def _prompt(network: Any, chosen: str | None, *names: str) -> str:
    """Find a tower's prompt: what is chosen, else what `encode_query` or `encode_document` take."""
    if chosen is not None:
        return chosen
    name = next((name for name in names if name in network.prompts), network.default_prompt_name)
    return network.prompts.get(name) or "" if name is not None else ""


def _proven(
    manifest: Manifest,
    folder: Path,
    machine: Machine,
    measure: Callable[[CompiledNetwork], float],
    least: Mapping[str, float],
) -> Manifest:
    """Compare with torch in both precisions; fp32 has to agree, bf16 is used if it does."""
    likeness = measure(CompiledNetwork(folder, manifest, machine))
    if not likeness >= least["fp32"]:
        raise _Uncompilable(f"compiled, it gives other results: likeness {likeness:.4f} to torch")
    agrees = measure(CompiledNetwork(folder, manifest, replace(machine, bf16=True)))
    return replace(manifest, bf16=has_bf16() and agrees >= least["bf16"])


def _likeness(source: TorchEncoder, compiled: OpenVinoEncoder) -> float:
    """Compare vectors of texts and of tokens: the least cosine; 0 where the tokens differ."""
    texts = list(_TEXTS)
    theirs, ours = source.passage_tokens(texts), compiled.passage_tokens(texts)
    theirs += [source.question_tokens(text) for text in texts]
    ours += [compiled.question_tokens(text) for text in texts]
    if [rows.shape for rows in theirs] != [rows.shape for rows in ours]:
        return 0.0
    theirs += [source.encode_passages(texts), source.encode_questions(texts)]
    ours += [compiled.encode_passages(texts), compiled.encode_questions(texts)]
    return min(float((a * b).sum(axis=1).min()) for a, b in zip(theirs, ours, strict=True))


def _drift(source: TorchPairScorer, compiled: OpenVinoPairScorer) -> float:
    """Compare scores: the largest difference, as a share of their range (of 1 where it is less)."""
    theirs, ours = source.score(_PAIRS), compiled.score(_PAIRS)
    if theirs.shape != ours.shape:
        return 1.0
    return float(np.abs(theirs - ours).max() / max(np.ptp(theirs), 1.0))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracer's warnings to ourselves: what they warn of is measured afterwards."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
