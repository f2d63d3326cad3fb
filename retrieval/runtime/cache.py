"""The cache of compiled models: one folder each, named by the fingerprint of its source.

::

    <cache>/digests.json                 SHA-256 of files seen, with their times
    <cache>/models/<key>/manifest.json   what was compiled, and the digest of every other file
    <cache>/models/<key>/*.xml, *.bin    the graphs and their weights
    <cache>/models/<key>/tokenizer.json

A folder appears whole or not at all. What is read back is compared with its manifest; a truncated
or foreign file makes the folder worthless, and it is compiled anew.
"""

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.digests import Digests

FORMAT = 1  # of the folders: a higher one leaves older folders unused
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What is in a folder of the cache.

    Attributes
    ----------
    name, fingerprint
        Of the source model.
    refused
        Why it could not be compiled; empty where it was. It is then run by torch.
    inputs
        The graphs' inputs in their order: ``input_ids``, ``attention_mask``...
    graphs
        From a tower (``question``, ``passage``, or ``pair`` of a cross-encoder) to its file.
    prompts
        From a tower to the text before its inputs.
    lengths
        From a tower to the most tokens it reads.
    special_ids
        Tokens that stand for no text.
    dimension
        Of a bi-encoder's vectors; 0 for a cross-encoder.
    activation
        What a cross-encoder's scores pass through.
    bf16
        Whether the results in bf16 agree with those in fp32 on the processor that compiled.
    files
        From a file's name to its SHA-256.
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
    """Compiled models below a folder that processes share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.digests = Digests(folder / "digests.json")

    def path(self, fingerprint: str) -> Path:
        """Where a model's folder is, or would be."""
        return self.folder / "models" / f"{fingerprint[:32]}-{FORMAT}"

    def find(self, fingerprint: str) -> Manifest | None:
        """Read a model's manifest; None where there is none, or its files are not what it says."""
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
            sound = manifest.fingerprint == fingerprint and all(
                self.digests.sha256(folder / name) == digest
                for name, digest in manifest.files.items()
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return manifest if sound else None

    def build(self, fingerprint: str, write: Callable[[Path], Manifest]) -> Manifest:
        """Make a model's folder, unless another process made it meanwhile.

        Parameters
        ----------
        write
            Fills an empty folder and describes it.

        Raises
        ------
        OSError
            If the cache cannot be written to, or the disk is full; nothing is left behind.
        """
        from filelock import FileLock  # noqa: PLC0415 - most runs find what they need

        target = self.path(fingerprint)
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            if (found := self.find(fingerprint)) is not None:
                return found
            draft = target.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
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
        """Remove every model but these; how many, and how many bytes they took.

        One that a process is compiling now is left alone.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 - as above

        kept = {self.path(fingerprint).name for fingerprint in fingerprints}
        models = self.folder / "models"
        removed = bytes_freed = 0
        for folder in sorted(models.iterdir()) if models.is_dir() else ():
            if not folder.is_dir() or folder.name in kept:
                continue
            with contextlib.suppress(Timeout), FileLock(folder.with_suffix(".lock"), timeout=0):
                bytes_freed += sum(file.stat().st_size for file in folder.iterdir())
                shutil.rmtree(folder)
                removed += 1
        return removed, bytes_freed


def need_space(folder: Path, size: int) -> None:
    """Fail before a file is written in part: not every library tells that a disk was full.

    Raises
    ------
    OSError
        If fewer than ``size`` bytes are free where the folder is.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        import errno  # noqa: PLC0415 - one line needs it

        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(folder))
