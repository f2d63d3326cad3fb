"""Files that are uploaded by a browser, stored in the data directory under safe names."""

import hashlib
import os
import re
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from twotower.retrieval.vocabulary.errors import ConfigurationError, ServiceError

_MAX_NAME = 150  # bytes: file systems allow 255, and the name of a draft is longer
_MIN_FREE = 500 * 2**20  # bytes that stay free on the disk after an upload
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³])(\.|$)")  # Windows devices
_FORBIDDEN = re.compile(r'[\\/:*?"<>|]')


def safe_name(name: str) -> str:
    """Turn the file name that a browser sends into a name without folders.

    Raises
    ------
    ConfigurationError
        If nothing is left of the name, or no loader reads such files.
    """
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    base = "".join(c for c in last if unicodedata.category(c)[0] != "C")
    base = _FORBIDDEN.sub("_", base).strip(" .")
    stem, suffix = os.path.splitext(base)  # noqa: PTH122 - a name, not a path
    if suffix.lower().removeprefix(".") not in suffixes():
        raise ConfigurationError(
            f"no loader reads {name!r}: convert the file to another format, or leave it out"
        )
    stem = stem.rstrip(" .")
    if _RESERVED.match(stem):
        stem = f"_{stem}"
    if len((stem + suffix).encode()) > _MAX_NAME or _FORBIDDEN.search(last):
        # The digest keeps names apart that become equal when they are shortened or changed.
        digest = hashlib.sha256(last.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        while len(f"{stem}-{digest}{suffix}".encode()) > _MAX_NAME:
            stem = stem[:-1]
        stem = f"{stem}-{digest}"
    return stem + suffix


class Uploads:
    """The uploaded files of one collection."""

    def __init__(self, data_dir: Path, collection: str) -> None:
        self.folder = data_dir / "uploads" / collection

    def save(self, name: str, content: BinaryIO, size: int) -> Path:
        """Store a file; a file of the same name is replaced, as a new state of its document.

        Raises
        ------
        ServiceError
            If it cannot be written.
        """
        target = self.folder / safe_name(name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self.folder).free < size + _MIN_FREE:
                raise ServiceError(
                    f"the disk of {self.folder} is nearly full: free some space and upload again"
                )
            draft = target.with_name(f".{target.name}.part")
            with draft.open("wb") as file:
                shutil.copyfileobj(content, file)
            draft.replace(target)
        except OSError as error:
            raise ServiceError(f"{target} cannot be written: {error.strerror}") from error
        return target

    def remove(self, path: Path) -> bool:
        """Delete a file if it is an upload of this collection; return True if it was."""
        if path.parent.resolve() != self.folder.resolve() or not path.is_file():
            return False
        path.unlink()
        return True


def suffixes() -> Sequence[str]:
    """Return the file name extensions that may be uploaded, without dots."""
    from twotower.ingest.loaders import readable_suffixes  # noqa: PLC0415 - it loads pdfium

    return sorted(suffix.removeprefix(".") for suffix in readable_suffixes())
