"""Files that come from a browser: kept in the data directory, under names that are safe."""

import hashlib
import os
import re
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from ingest.loaders import readable_suffixes
from retrieval.errors import ConfigurationError, ServiceError

_LONGEST = 150  # bytes: file systems take 255, and a draft's name is longer
_FREE = 500 * 2**20  # bytes that an upload leaves on the disk
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³])(\.|$)")  # devices of Windows
_FORBIDDEN = re.compile(r'[\\/:*?"<>|]')


def safe_name(name: str) -> str:
    """Turn what a browser calls a file into the name of a file in one folder.

    Raises
    ------
    ConfigurationError
        If nothing is left of it, or no loader reads such files.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    base = "".join(c for c in last if unicodedata.category(c)[0] != "C")
    base = _FORBIDDEN.sub("_", base).strip(" .")
    stem, suffix = os.path.splitext(base)  # noqa: PTH122 - a name, not a path
    if suffix.lower() not in readable_suffixes():
        raise ConfigurationError(f"no loader reads {name!r}: convert it, or leave it out")
    stem = stem.rstrip(" .")
    if _RESERVED.match(stem):
        stem = f"_{stem}"
    if len((stem + suffix).encode()) > _LONGEST or _FORBIDDEN.search(last):
        # Another name may become the same when it is shortened or changed.
        digest = hashlib.sha256(last.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        while len(f"{stem}-{digest}{suffix}".encode()) > _LONGEST:
            stem = stem[:-1]
        stem = f"{stem}-{digest}"
    return stem + suffix


class Uploads:
    """The uploaded files of one collection."""

    def __init__(self, data_dir: Path, collection: str) -> None:
        self.folder = data_dir / "uploads" / collection

    def keep(self, name: str, content: BinaryIO, size: int) -> Path:
        """Keep a file; one of the same name is replaced, as a new state of the same document.

        Raises
        ------
        ServiceError
            If it cannot be written.
        """
        target = self.folder / safe_name(name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self.folder).free < size + _FREE:
                raise ServiceError(
                    f"the disk of {self.folder} is nearly full: make room and upload again"
                )
            draft = target.with_name(f".{target.name}.part")
            with draft.open("wb") as file:
                shutil.copyfileobj(content, file)
            draft.replace(target)
        except OSError as error:
            raise ServiceError(f"{target} cannot be written: {error.strerror}") from error
        return target

    def remove(self, path: Path) -> bool:
        """Remove a file if it is one of ours; whether it was."""
        if path.parent.resolve() != self.folder.resolve() or not path.is_file():
            return False
        path.unlink()
        return True


def suffixes() -> Sequence[str]:
    """What may be uploaded, without the dots."""
    return sorted(suffix.removeprefix(".") for suffix in readable_suffixes())
