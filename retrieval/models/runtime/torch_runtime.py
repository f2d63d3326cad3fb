"""Networks on torch by sentence-transformers: for GPUs, and for models that cannot be compiled."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twotower.retrieval.models.model_folder import ModelFolder
from twotower.retrieval.vocabulary.errors import ConfigurationError, MissingExtra
from twotower.retrieval.vocabulary.vectors import SparseVector, Vector, Vectors, unit_rows

if TYPE_CHECKING:
    import sentence_transformers

_FEW = 2  # questions that are encoded on one core

Precision = Literal["auto", "fp32", "bf16"]


class TorchEncoder:
    """A sentence-transformers model on torch, loaded at first use (5 to 10 s).

    Parameters
    ----------
    model
        Files of the model.
    precision
        ``bf16`` halves the time of passages on a CPU that computes in it; ``auto`` uses it on such
        a CPU. Questions are always encoded in fp32: they are few, and short.
    batch_tokens
        Number of tokens of one forward pass. It is divided by the window to get the number of
        texts. sentence-transformers sorts texts by length before it makes batches.
    trust_remote_code
        True if Python code in the folder of the model may run.
    """

    def __init__(
        self,
        model: ModelFolder,
        precision: Precision = "auto",
        batch_tokens: int = 4096,
        trust_remote_code: bool = False,
    ) -> None:
        self.model = model
        self._precision = precision
        self._batch_tokens = batch_tokens
        self._trust_remote_code = trust_remote_code

    @property
    def dimension(self) -> int:
        """See `Encoder.dimension`."""
        return int(self.network.get_embedding_dimension() or 0)

    def encode_questions(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode_questions`."""
        network = self.network
        with _few_threads(len(texts)):
            vectors = network.encode_query(
                list(texts),
                prompt=self.model.question_prompt,
                batch_size=max(1, self._batch_tokens // self.model.window),
                show_progress_bar=False,
            )
        return unit_rows(np.reshape(vectors, (len(texts), self.dimension)))

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode_passages`."""
        with self._autocast():
            vectors = self.network.encode_document(
                list(texts),
                prompt=self.model.passage_prompt,
                batch_size=max(1, self._batch_tokens // self.model.window),
                show_progress_bar=False,
            )
        return unit_rows(np.reshape(vectors, (len(texts), self.dimension)))

    def question_tokens(self, text: str) -> Vectors:
        """See `Encoder.question_tokens`."""
        return self._tokens([text], self.network.encode_query, self.model.question_prompt)[0]

    def passage_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """See `Encoder.passage_tokens`."""
        with self._autocast():
            return self._tokens(texts, self.network.encode_document, self.model.passage_prompt)

    def _tokens(
        self, texts: Sequence[str], encode: Callable[..., Any], prompt: str | None
    ) -> list[Vectors]:
        encoded = encode(
            list(texts),
            prompt=prompt,
            batch_size=max(1, self._batch_tokens // self.model.window),
            show_progress_bar=False,
            output_value=None,
        )
        special = set(self.network.tokenizer.all_special_ids)
        rows = []
        for one in encoded:
            ids = one["input_ids"].tolist()
            own = [index for index, id in enumerate(ids) if id not in special]
            rows.append(unit_rows(one["token_embeddings"].float().cpu().numpy()[own]))
        return rows

    @cached_property
    def network(self) -> "sentence_transformers.SentenceTransformer":
        """The loaded model."""
        try:
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - takes 5 to 10 s
        except ImportError as error:
            raise MissingExtra(
                f"dense search needs sentence-transformers, which cannot be imported ({error}): "
                "run `make install`, or search in the mode bm25"
            ) from error
        network: sentence_transformers.SentenceTransformer = load_network(
            SentenceTransformer,
            "encoder",
            self.model.name,
            self.model.path,
            self._trust_remote_code,
        )
        return network

    def _autocast(self) -> contextlib.AbstractContextManager[None]:
        return autocast(self.network.device.type, self._precision)


class TorchLegEncoder:
    """A `MultiVectorEncoder` or `SparseEncoder` of sentence-transformers, loaded at first use.

    Parameters
    ----------
    leg
        ``colbert`` or ``splade``.
    """

    def __init__(
        self,
        leg: str,
        model: ModelFolder,
        precision: Precision = "auto",
        batch_tokens: int = 4096,
        trust_remote_code: bool = False,
    ) -> None:
        self.leg = leg
        self.model = model
        self._precision = precision
        self._batch_tokens = batch_tokens
        self._trust_remote_code = trust_remote_code

    @property
    def dimension(self) -> int:
        """See `LegEncoder.dimension`."""
        return int(self.network.get_embedding_dimension() or 0)

    def encode_questions(self, texts: Sequence[str]) -> list[Vector]:
        """See `LegEncoder.encode_questions`."""
        with _few_threads(len(texts)):
            return self._encoded(self.network.encode_query, texts)

    def encode_passages(self, texts: Sequence[str]) -> list[Vector]:
        """See `LegEncoder.encode_passages`."""
        with autocast(self.network.device.type, self._precision):
            return self._encoded(self.network.encode_document, texts)

    def _encoded(self, encode: Callable[..., Any], texts: Sequence[str]) -> list[Vector]:
        keywords = (
            {"convert_to_tensor": True} if self.leg == "splade" else {"convert_to_numpy": True}
        )
        found = encode(
            list(texts),
            batch_size=max(1, self._batch_tokens // self.model.window),
            show_progress_bar=False,
            **keywords,
        )
        if self.leg == "splade":
            return [_sparse(row) for row in found]
        return [unit_rows(np.asarray(rows, np.float32)) for rows in found]

    @cached_property
    def network(self) -> Any:
        """The loaded model."""
        import sentence_transformers  # noqa: PLC0415 - takes 5 to 10 s

        classes = {
            "colbert": sentence_transformers.MultiVectorEncoder,
            "splade": sentence_transformers.SparseEncoder,
        }
        return load_network(
            classes[self.leg],
            f"{self.leg} model",
            self.model.name,
            self.model.path,
            self._trust_remote_code,
        )


def _sparse(row: Any) -> SparseVector:
    """Read one row of a sparse tensor."""
    row = row.coalesce().cpu()
    return SparseVector(tuple(row.indices()[0].tolist()), tuple(row.values().float().tolist()))


class TorchPairScorer:
    """A sentence-transformers `CrossEncoder` on torch, loaded at first use (5 to 10 s)."""

    def __init__(
        self, model: ModelFolder, batch_tokens: int = 4096, trust_remote_code: bool = False
    ) -> None:
        self.model = model
        self._batch_tokens = batch_tokens
        self._trust_remote_code = trust_remote_code

    def score(self, pairs: Sequence[tuple[str, str]]) -> Vectors:
        """See `PairScorer.score`."""
        scores = self.network.predict(
            list(pairs),
            batch_size=max(1, self._batch_tokens // self.model.window),
            show_progress_bar=False,
        )
        return np.asarray(scores, dtype=np.float32)

    @cached_property
    def network(self) -> "sentence_transformers.CrossEncoder":
        """The loaded model."""
        from sentence_transformers import CrossEncoder  # noqa: PLC0415 - takes 5 to 10 s

        network: sentence_transformers.CrossEncoder = load_network(
            CrossEncoder,
            "cross-encoder",
            self.model.name,
            self.model.path,
            self._trust_remote_code,
        )
        return network


def load_network(
    network_class: Callable[..., Any], role: str, name: str, folder: Path, trust_remote_code: bool
) -> Any:
    """Load a sentence-transformers model from a folder: safetensors only, without log output.

    Raises
    ------
    ConfigurationError
        If the files are not such a model.
    """
    from transformers.utils import logging  # noqa: PLC0415 - takes 2 s

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    keywords = {
        "local_files_only": True,
        "trust_remote_code": trust_remote_code,
        "model_kwargs": {"use_safetensors": True},
    }
    try:
        if own := _own_modules(folder):
            # The library imports no module of others without permission to run any code.
            load = network_class._load_with_module_classes  # type: ignore[attr-defined]  # noqa: SLF001
            return load(os.fspath(folder), own, **keywords)
        return network_class(os.fspath(folder), **keywords)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(f"{role} {name} in {folder} cannot be loaded: {reason}") from error


def _own_modules(folder: Path) -> dict[str, Any]:
    """Return the classes of this project that a model consists of, by their names in its files."""
    file = folder / "modules.json"
    if not file.is_file() or ".letter_trigrams." not in file.read_text(encoding="utf-8"):
        return {}
    from twotower.retrieval.models.letter_trigrams import LetterTrigrams  # noqa: PLC0415 - takes 5 s

    return {f"{LetterTrigrams.__module__}.{LetterTrigrams.__name__}": LetterTrigrams}


@contextlib.contextmanager
def _few_threads(texts: int) -> Iterator[None]:
    """Encode one or two questions on one core: starting the others takes longer (22 ms, not 13)."""
    import torch  # noqa: PLC0415 - takes 2 s

    threads = torch.get_num_threads()
    if texts <= _FEW and threads > 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def autocast(device: str, precision: Precision) -> Iterator[None]:
    """Compute in bf16 where the precision asks for it, or is ``auto`` on a CPU that has it."""
    import torch  # noqa: PLC0415 - takes 2 s

    use_bf16 = precision == "bf16" or (precision == "auto" and device == "cpu" and has_bf16())
    with torch.autocast(device, dtype=torch.bfloat16, enabled=use_bf16):
        yield


def has_bf16() -> bool:
    """Return True if this CPU computes in bf16; emulation would be slower than fp32."""
    import torch  # noqa: PLC0415 - takes 2 s

    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
