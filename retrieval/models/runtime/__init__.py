"""The runtimes of the networks: OpenVINO, with graphs compiled once, or torch.

`choose_runtime` selects the runtime of a model without loading the model. `load_encoder` and
`load_pair_scorer` create its network on that runtime, and compile it if necessary. Neither library
is imported before it is used.
"""

import importlib.metadata
import importlib.util
import logging
import platform
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from twotower.retrieval.models.encoder import Encoder, PairScorer
from twotower.retrieval.models.model_folder import ModelFolder
from twotower.retrieval.models.runtime.cache import Manifest, ModelCache, require_free_space
from twotower.retrieval.models.runtime.openvino_runtime import (
    CompiledNetwork,
    ExecutionSettings,
    OpenVinoEncoder,
    OpenVinoPairScorer,
)
from twotower.retrieval.models.runtime.torch_runtime import Precision, TorchEncoder, TorchPairScorer
from twotower.retrieval.vocabulary.errors import ConfigurationError, MissingExtra

_LOG = logging.getLogger(__name__)

_DRAFT_SIZE = 2  # times the source model: upper limit for a draft with two towers in fp16

RuntimeName = Literal["auto", "openvino", "torch"]


@dataclass(frozen=True)
class RuntimeOptions:
    """Options of the runtimes.

    Attributes
    ----------
    runtime
        ``openvino``, ``torch``, or ``auto``: torch if there is a GPU or OpenVINO cannot run the
        model, OpenVINO in all other cases.
    precision
        Precision of passages and pairs; ``auto`` is bf16 if the processor supports it and the model
        gives the same results in it. Questions are always computed in fp32.
    batch_tokens
        Number of tokens of one forward pass, including padding.
    threads
        Number of processor cores to use.
    trust_remote_code
        True if Python code in the folder of a model may run.
    """

    runtime: RuntimeName = "auto"
    precision: Precision = "auto"
    batch_tokens: int = 4096
    threads: int = 1
    trust_remote_code: bool = False


@dataclass(frozen=True)
class RuntimeChoice:
    """The runtime of a model.

    Attributes
    ----------
    runtime
        ``openvino`` or ``torch``.
    reason
        Reason for torch, if the options do not require it.
    manifest
        Manifest of the compiled model; None on torch, or if the model is not compiled yet.
    """

    runtime: Literal["openvino", "torch"]
    reason: str = ""
    manifest: Manifest | None = None


def choose_runtime(model: ModelFolder, cache: ModelCache, options: RuntimeOptions) -> RuntimeChoice:
    """Choose the runtime of a model, without loading or compiling it.

    Raises
    ------
    MissingExtra, ConfigurationError
        If the options require OpenVINO, and it is not installed or cannot run this model.
    """
    if options.runtime == "torch":
        return RuntimeChoice("torch")
    required = options.runtime == "openvino"
    if not required and _has_gpu():
        return RuntimeChoice("torch", "there is a GPU")
    if importlib.util.find_spec("openvino") is None:
        if required:
            raise MissingExtra(
                "TWOTOWER_RUNTIME is openvino, but OpenVINO is not installed: run "
                "`pip install openvino`, or set TWOTOWER_RUNTIME=torch"
            )
        return RuntimeChoice("torch", "openvino is not installed")
    manifest = cache.find(model.fingerprint)
    if manifest is None or not manifest.refused:
        return RuntimeChoice("openvino", manifest=manifest)
    if required:
        raise ConfigurationError(
            f"{model.name} cannot be compiled ({manifest.refused}): set TWOTOWER_RUNTIME=auto"
        )
    return RuntimeChoice("torch", f"{model.name} cannot be compiled: {manifest.refused}")


def load_encoder(model: ModelFolder, cache: ModelCache, options: RuntimeOptions) -> Encoder:
    """Create a bi-encoder on the runtime that `choose_runtime` selects.

    Raises
    ------
    MissingExtra, ConfigurationError
        For the reasons that `choose_runtime` gives, or if the model cannot be loaded.
    """
    torch_encoder = partial(
        TorchEncoder,
        model,
        batch_tokens=options.batch_tokens,
        trust_remote_code=options.trust_remote_code,
    )
    network = _compiled_network(torch_encoder(precision="fp32"), cache, options)
    if network is None:
        return torch_encoder(precision=options.precision)
    return OpenVinoEncoder(model, network)


def load_pair_scorer(model: ModelFolder, cache: ModelCache, options: RuntimeOptions) -> PairScorer:
    """Create the network of a cross-encoder; see `load_encoder`."""
    source = TorchPairScorer(model, options.batch_tokens, options.trust_remote_code)
    network = _compiled_network(source, cache, options)
    return OpenVinoPairScorer(network) if network else source


def _compiled_network(
    source: TorchEncoder | TorchPairScorer,
    cache: ModelCache,
    options: RuntimeOptions,
) -> CompiledNetwork | None:
    """Return the compiled network of a model, compiling it if necessary; None for torch."""
    model = source.model
    choice = choose_runtime(model, cache, options)
    manifest = choice.manifest
    if choice.runtime == "openvino" and manifest is None:
        _LOG.warning(
            "compiling %s for this processor; this takes about 10 seconds, once", model.name
        )
        try:
            manifest = cache.build(model.fingerprint, partial(_compile, source, options.threads))
        except OSError as error:
            _LOG.warning(
                "the compiled form of %s could not be written to %s (%s), so torch runs it and "
                "starts more slowly: set TWOTOWER_CACHE_DIR to a folder with free space",
                model.name,
                cache.folder,
                error.strerror,
            )
            return None
        if manifest.refused:
            choice = choose_runtime(model, cache, options)
            _LOG.warning("%s; torch runs it", choice.reason)
    if choice.runtime == "torch" or manifest is None:
        return None
    bf16 = manifest.bf16 if options.precision == "auto" else options.precision == "bf16"
    return CompiledNetwork(
        cache.path(model.fingerprint),
        manifest,
        ExecutionSettings(options.threads, bf16, options.batch_tokens),
    )


def _compile(source: TorchEncoder | TorchPairScorer, threads: int, folder: Path) -> Manifest:
    weights = source.network.parameters()  # loads the model, which reports missing libraries
    require_free_space(folder, _DRAFT_SIZE * sum(weight.nbytes for weight in weights))
    from twotower.retrieval.models.runtime.compilation import compile_model  # noqa: PLC0415 - imports torch

    return compile_model(source, folder, threads)


def _has_gpu() -> bool:
    """Return True if torch may find a GPU. This does not import torch, which takes 2 s."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    nodes = (Path("/dev/nvidiactl"), Path("/dev/kfd"))
    return any(node.exists() for node in nodes) and "+cpu" not in importlib.metadata.version(
        "torch"
    )
