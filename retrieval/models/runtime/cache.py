"""The cache of compiled models: one folder for each, named by the fingerprint of its source.

::

    <cache>/digests.json                 SHA-256 of the files read so far, with their times
    <cache>/models/<key>/manifest.json   description of the model, with the digest of every file
    <cache>/models/<key>/*.xml, *.bin    graphs and their weights
    <cache>/models/<key>/tokenizer.json

A folder is complete or does not exist. Its files are compared with the manifest before they are
used. If a file is truncated or replaced, the model is compiled again.
"""

import contextlib
import dataclasses
import errno
import json
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twotower.retrieval.models.digests import Digests

FORMAT = 1  # format of the folders; after it is raised, older folders are no longer used
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """Description of a folder in the cache.

    Attributes
    ----------
    name, fingerprint
        Name and fingerprint of the source model.
    refused
        Reason why the model could not be compiled, so that torch runs it; empty if it was compiled.
    inputs
        Inputs of the graphs, in order: ``input_ids``, ``attention_mask``...
    graphs
        File of each tower (``question``, ``passage``, or ``pair`` of a cross-encoder).
    prompts
        Text before the inputs of each tower.
    lengths
        Maximum number of tokens that each tower reads.
    special_ids
        Ids of the tokens that represent no text.
    dimension
        Dimension of a bi-encoder's vectors; 0 for a cross-encoder.
    activation
        Activation function of a cross-encoder's scores.
    bf16
        True if the results in bf16 agree with those in fp32 on the processor that compiled.
    files
        SHA-256 of each file, by name.
    """

    name: str
    fingerprint: str
    refused: str = ""
    inputs: tuple[str, ...] = ()
    graphs: dict[str, str] = dataclasses.field(default_factory=dict)
    prompts: dict[str, str] = dataclasses.field(default_factory=dict)
    lengths: dict[str, int] = dataclasses.field(default_factory=dict)
    special_ids: tuple[int, ...] = ()
    dimension: int = 0
    activation: str = "identity"
    bf16: bool = False
    files: dict[str, str] = dataclasses.field(default_factory=dict)


class ModelCache:
    """Compiled models in a folder that several processes share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.digests = Digests(folder / "digests.json")

    def path(self, fingerprint: str) -> Path:
        """Path of the folder of a model, whether or not it exists."""
        return self.folder / "models" / f"{fingerprint[:32]}-{FORMAT}"

    def find(self, fingerprint: str) -> Manifest | None:
        """Read the manifest of a model; None if it is missing or does not match the files."""
        folder = self.path(fingerprint)
        try:
            content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            manifest = Manifest(
                **content
                | {
                    "inputs": tuple(content["inputs"]),
                    "special_ids": tuple(content["special_ids"]),
                }
            )
            is_valid = manifest.fingerprint == fingerprint and all(
                self.digests.sha256(folder / name) == digest
                for name, digest in manifest.files.items()
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return manifest if is_valid else None

    def build(self, fingerprint: str, write: Callable[[Path], Manifest]) -> Manifest:
        """Create the folder of a model, unless another process creates it at the same time.

        Parameters
        ----------
        write
            Function that fills an empty folder and returns its manifest.

        Raises
        ------
        OSError
            If the cache cannot be written to, or the disk is full; no incomplete files remain.
        """
        target = self.path(fingerprint)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target):
            if (existing := self.find(fingerprint)) is not None:
                return existing
            draft = target.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)  # left by a process that was killed
            try:
                draft.mkdir()
                manifest = write(draft)
                files = {file.name: self.digests.sha256(file) for file in sorted(draft.iterdir())}
                manifest = dataclasses.replace(manifest, files=files)
                content = json.dumps(dataclasses.asdict(manifest), ensure_ascii=False, indent=1)
                (draft / MANIFEST).write_text(content, encoding="utf-8")
                shutil.rmtree(target, ignore_errors=True)
                draft.rename(target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return manifest

    def remove_others(self, fingerprints: Collection[str]) -> tuple[int, int]:
        """Remove every model except these; return the number of models and of bytes removed.

        A model that another process is compiling now is not removed.
        """
        keep = {self.path(fingerprint).name for fingerprint in fingerprints}
        models = self.folder / "models"
        removed = bytes_freed = 0
        for folder in sorted(models.iterdir()) if models.is_dir() else ():
            if not folder.is_dir() or folder.name in keep:
                continue
            with contextlib.suppress(TimeoutError), _lock(folder, timeout=0):
                bytes_freed += sum(file.stat().st_size for file in folder.iterdir())
                shutil.rmtree(folder)
                removed += 1
        return removed, bytes_freed


def require_free_space(folder: Path, size: int) -> None:
    """Check the free space before files are written: not every library reports that a disk is full.

    Raises
    ------
    OSError
        If fewer than ``size`` bytes are free on the file system of the folder.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(folder))


def _lock(folder: Path, timeout: float = -1) -> contextlib.AbstractContextManager[object]:
    """Lock a folder; raises TimeoutError after ``timeout`` seconds, never if it is negative."""
    from filelock import FileLock  # noqa: PLC0415 - takes 60 ms, and most runs need no lock

    return FileLock(folder.with_suffix(".lock"), timeout=timeout)
