"""What runs the networks: graphs compiled once for OpenVINO, or torch.

`choose` decides for a model, without loading it; `load_encoder` and `load_pair_scorer` act on it,
and compile where that has not been done yet. Neither library is imported before it is used.
"""

import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from retrieval.encoder import Encoder, PairScorer
from retrieval.errors import ConfigurationError, MissingExtra
from retrieval.model_folder import ModelFolder
from retrieval.runtime.cache import Manifest, ModelCache
from retrieval.runtime.openvino_runtime import (
    CompiledNetwork,
    Machine,
    OpenVinoEncoder,
    OpenVinoPairScorer,
)
from retrieval.runtime.torch_runtime import Precision, TorchEncoder, TorchPairScorer

Name = Literal["auto", "openvino", "torch"]


@dataclass(frozen=True)
class RuntimeOptions:
    """How networks are run.

    Attributes
    ----------
    runtime
        ``openvino``, ``torch``, or ``auto``: torch where there is a GPU, or OpenVINO cannot.
    precision
        Of passages and pairs; ``auto`` is bf16 where the processor computes in it and the model
        gives the same results in it. Questions are always computed in fp32.
    batch_tokens
        Tokens of one forward pass, padding included.
    threads
        Cores to use.
    trust_remote_code
        Whether Python code in a model's folder may run.
    """

    runtime: Name = "auto"
    precision: Precision = "auto"
    batch_tokens: int = 4096
    threads: int = 1
    trust_remote_code: bool = False


@dataclass(frozen=True)
class Choice:
    """What runs a model.

    Attributes
    ----------
    runtime
        ``openvino`` or ``torch``.
    reason
        Why torch, where OpenVINO might have been expected.
    manifest
        What was compiled; None on torch, and where it is yet to be done.
    """

    runtime: Literal["openvino", "torch"]
    reason: str = ""
    manifest: Manifest | None = None


def choose(model: ModelFolder, cache: ModelCache, options: RuntimeOptions) -> Choice:
    """Decide what runs a model; nothing is loaded or compiled.

    Raises
    ------
    MissingExtra, ConfigurationError
        If OpenVINO is asked for and not installed, or known not to run this model.
    """
    if options.runtime == "torch":
        return Choice("torch")
    asked = options.runtime == "openvino"
    if not asked and _has_gpu():
        return Choice("torch", "there is a GPU")
    if importlib.util.find_spec("openvino") is None:
        if asked:
            raise MissingExtra(
                "TWOTOWER_RUNTIME is openvino, which is not installed: run `pip install openvino`, "
                "or set TWOTOWER_RUNTIME=torch"
            )
        return Choice("torch", "openvino is not installed")
    manifest = cache.find(model.fingerprint)
    if manifest is None or not manifest.refused:
        return Choice("openvino", manifest=manifest)
    if asked:
        raise ConfigurationError(
            f"{model.name} cannot be compiled ({manifest.refused}): set TWOTOWER_RUNTIME=auto"
        )
    return Choice("torch", f"{model.name} cannot be compiled: {manifest.refused}")


def load_encoder(
    model: ModelFolder, cache: ModelCache, options: RuntimeOptions, tell: Callable[[str], None]
) -> Encoder:
    """Make a bi-encoder on the runtime that suits it; ``tell`` hears of what takes long.

    Raises
    ------
    MissingExtra, ConfigurationError
        As `choose`, and if the model cannot be loaded.
    """
    make = partial(
        TorchEncoder,
        model,
        batch_tokens=options.batch_tokens,
        trust_remote_code=options.trust_remote_code,
    )
    network = _compiled(make(precision="fp32"), cache, options, tell)
    return OpenVinoEncoder(model, network) if network else make(precision=options.precision)


def load_pair_scorer(
    model: ModelFolder, cache: ModelCache, options: RuntimeOptions, tell: Callable[[str], None]
) -> PairScorer:
    """Make a cross-encoder's network, as `load_encoder` does."""
    source = TorchPairScorer(model, options.batch_tokens, options.trust_remote_code)
    network = _compiled(source, cache, options, tell)
    return OpenVinoPairScorer(network) if network else source


def _compiled(
    source: TorchEncoder | TorchPairScorer,
    cache: ModelCache,
    options: RuntimeOptions,
    tell: Callable[[str], None],
) -> CompiledNetwork | None:
    """Find what was compiled of a model, or compile it; None where torch runs it."""
    model = source.model
    choice = choose(model, cache, options)
    manifest = choice.manifest
    if choice.runtime == "openvino" and manifest is None:
        tell(f"compiling {model.name} for this processor, once: this takes about 10 seconds")
        try:
            manifest = cache.build(model.fingerprint, partial(_compile, source, options.threads))
        except OSError as error:
            tell(
                f"{model.name} could not be compiled into {cache.folder} ({error.strerror}), so "
                "torch runs it, which starts later: set TWOTOWER_CACHE_DIR to a place with room"
            )
            return None
        if manifest.refused:
            choice = choose(model, cache, options)
            tell(f"{choice.reason}; torch runs it")
    if choice.runtime == "torch" or manifest is None:
        return None
    bf16 = manifest.bf16 if options.precision == "auto" else options.precision == "bf16"
    return CompiledNetwork(
        cache.path(model.fingerprint),
        manifest,
        Machine(options.threads, bf16, options.batch_tokens),
    )


def _compile(source: TorchEncoder | TorchPairScorer, threads: int, folder: Path) -> Manifest:
    from retrieval.runtime.compilation import compile_model  # noqa: PLC0415 - needs torch

    return compile_model(source, folder, threads)


def _has_gpu() -> bool:
    """Whether torch may find a GPU: looked up without importing it, which takes 2 s."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    nodes = (Path("/dev/nvidiactl"), Path("/dev/kfd"))
    return any(node.exists() for node in nodes) and "+cpu" not in importlib.metadata.version(
        "torch"
    )
