"""Find the files to ingest: what is readable below the given paths, and nothing outside them."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import DocumentError


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to ingest: its absolute path, and the folder that it was found below."""

    path: Path
    root: Path


@dataclass(frozen=True, slots=True)
class Discovery:
    """What lies below the paths.

    Attributes
    ----------
    skipped
        How many files have a suffix that no loader reads, by suffix.
    errors
        One line for each path that leads nowhere or holds nothing to read.
    """

    files: tuple[FoundFile, ...]
    skipped: Counter[str]
    errors: tuple[str, ...]


def discover(paths: Sequence[Path], suffixes: Collection[str]) -> Discovery:
    """Walk the paths in order; a file that is reached twice counts once.

    Hidden files and folders are left out, and so are symbolic links that lead out of their root
    and anything that is not a regular file. A file that is named itself is always taken, so that
    its person hears why it cannot be read.
    """
    found: dict[Path, FoundFile] = {}
    skipped: Counter[str] = Counter()
    errors: list[str] = []
    for path in paths:
        if not path.exists():
            errors.append(f"{path}: no such file or folder; check the path")
        elif path.is_dir():
            before = len(found)
            root = path.resolve()
            for file in _walk(root):
                if file.suffix.lower() in suffixes:
                    found.setdefault(file.resolve(), FoundFile(file, root))
                else:
                    skipped[file.suffix.lower() or "no suffix"] += 1
            if len(found) == before and not _any_below(root, found):
                errors.append(
                    f"{path}: no document in this folder that could be read{_seen(skipped)}"
                )
        else:
            file = path.absolute()
            found.setdefault(file.resolve(), FoundFile(file, file.parent.resolve()))
    return Discovery(tuple(found.values()), skipped, tuple(errors))


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if not name.startswith(".") and _is_ours(path, root):
                yield path


def _is_ours(path: Path, root: Path) -> bool:
    try:
        return path.is_file() and (not path.is_symlink() or path.resolve().is_relative_to(root))
    except OSError:
        return False


def _any_below(root: Path, found: Collection[Path]) -> bool:
    return any(path.is_relative_to(root) for path in found)


def _seen(skipped: Counter[str]) -> str:
    kinds = ", ".join(f"{count} x {suffix}" for suffix, count in skipped.most_common(5))
    return f" (seen: {kinds})" if kinds else " (it is empty)"


def content_hash(path: Path, max_bytes: int) -> tuple[str, int]:
    """Hash a file's bytes: hexadecimal SHA-256, and its size.

    Raises
    ------
    DocumentError
        ``empty``, ``too-large``, ``not-a-file`` or ``unreadable``.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DocumentError("is not a regular file", "not-a-file")
        if status.st_size == 0:
            raise DocumentError("the file is empty (0 bytes)", "empty")
        if status.st_size > max_bytes:
            raise DocumentError(
                f"the file has {status.st_size / 2**20:.0f} MB, the limit is "
                f"{max_bytes / 2**20:.0f} MB (TWOTOWER_MAX_FILE_MB)",
                "too-large",
            )
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest(), status.st_size
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror or error}") from error
