"""Find the files to ingest: what is readable below the given paths, and nothing outside them."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from ingest.metadata import SUFFIX, sidecar_of
from retrieval.errors import DocumentError


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to ingest: its absolute path, and the folder that it was found below.

    Attributes
    ----------
    error
        Why it cannot be ingested, where its place alone tells.
    """

    path: Path
    root: Path
    error: DocumentError | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """What lies below the paths.

    Attributes
    ----------
    scopes
        The files and folders that were walked and hold something: absolute, links resolved.
    skipped
        How many files have a suffix that no loader reads, by suffix.
    errors
        One line for each path that leads nowhere or holds nothing to read.
    """

    files: tuple[FoundFile, ...]
    scopes: tuple[Path, ...]
    skipped: Counter[str]
    errors: tuple[str, ...]


def discover(
    paths: Sequence[Path],
    suffixes: Collection[str],
    hidden: bool = False,
    gitignore: bool = True,
    data_dir: Path | None = None,
) -> Discovery:
    """Walk the paths in order; a file that is reached twice counts once.

    Left out are hidden files and folders (unless ``hidden``) and what a ``.gitignore`` names
    (unless not ``gitignore``), and ``data_dir``. Of those that a loader would read, a link that
    leads out of the root or nowhere, a pipe, socket or device is found with its error. A file that
    is named itself is always taken, so that its person hears why it cannot be read.
    """
    found: dict[Path, FoundFile] = {}
    scopes: list[Path] = []
    skipped: Counter[str] = Counter()
    errors: list[str] = []
    walk = _Walk(hidden, gitignore, data_dir.resolve() if data_dir else None)
    for path in paths:
        problem = _unreachable(path)
        if problem:
            errors.append(problem)
        elif path.is_dir():
            root = path.resolve()
            anything = False
            for file in walk.below(root, ()):
                if file.name.endswith(SUFFIX) and file.with_name(_described(file)).is_file():
                    continue  # what is said of a document, not a document
                if file.suffix.lower() in suffixes:
                    anything = True
                    error = _misplaced(file, root)
                    real = file if error else file.resolve()
                    found.setdefault(real, FoundFile(real, root, error))
                else:
                    skipped[file.suffix.lower() or "no suffix"] += 1
            if anything:
                scopes.append(root)
            else:
                errors.append(f"{path}: no document in this folder to read{_seen(skipped)}")
        else:
            file = path.parent.resolve() / path.name
            found.setdefault(file.resolve(), FoundFile(file, file.parent))
            scopes.append(file)
    complaints = (*errors, *walk.errors)
    return Discovery(tuple(found.values()), tuple(scopes), skipped, complaints)


def _described(sidecar: Path) -> str:
    return sidecar.name.removesuffix(SUFFIX)


def _unreachable(path: Path) -> str:
    try:
        if path.exists():
            return ""
    except OSError as error:
        return f"{path}: {error.strerror or error}; check the path"
    return f"{path}: no such file or folder; check the path"


class _Walk:
    """A walk over folders; those that cannot be looked into are kept under ``errors``."""

    def __init__(self, hidden: bool, gitignore: bool, data_dir: Path | None) -> None:
        self.errors: list[str] = []
        self._hidden = hidden
        self._gitignore = gitignore
        self._data_dir = data_dir

    def below(self, folder: Path, ignored: Sequence[tuple[Path, GitIgnoreSpec]]) -> Iterator[Path]:
        """All entries below a folder that are no folders, in order of their names."""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self.errors.append(f"{folder}: {error.strerror or error}; nothing in it was read")
            return
        if self._gitignore and any(entry.name == ".gitignore" for entry in entries):
            ignored = [*ignored, *_read_gitignore(folder)]
        for entry in entries:
            path = Path(entry.path)
            below = entry.is_dir(follow_symlinks=False)
            if (entry.name.startswith(".") and not self._hidden) or path == self._data_dir:
                continue
            if _is_ignored(path, below, ignored):
                continue
            if below:
                yield from self.below(path, ignored)
            elif not (entry.is_symlink() and path.is_dir()):  # a linked folder is not entered
                yield path


def _read_gitignore(folder: Path) -> Iterator[tuple[Path, GitIgnoreSpec]]:
    try:
        lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
        yield folder, GitIgnoreSpec.from_lines(lines)
    except (OSError, ValueError):
        return  # unreadable rules ignore nothing


def _is_ignored(path: Path, folder: bool, ignored: Sequence[tuple[Path, GitIgnoreSpec]]) -> bool:
    """Whether the innermost `.gitignore` that says anything of a path says to ignore it."""
    for base, spec in reversed(ignored):
        relative = path.relative_to(base).as_posix() + ("/" if folder else "")
        verdict = spec.check_file(relative).include
        if verdict is not None:
            return verdict
    return False


def _misplaced(path: Path, root: Path) -> DocumentError | None:
    """Why an entry is not to be read, whatever is in it."""
    try:
        if path.is_symlink():
            target = path.resolve(strict=True)
            if not target.is_relative_to(root):
                return DocumentError("is a link that leads out of the folder", "link-outside")
        if not path.is_file():
            return DocumentError("is not a regular file", "not-a-file")
    except (OSError, RuntimeError):
        return DocumentError("is a link that leads nowhere", "broken-link")
    return None


def _seen(skipped: Counter[str]) -> str:
    kinds = ", ".join(f"{count} x {suffix}" for suffix, count in skipped.most_common(5))
    return f" (seen: {kinds})" if kinds else " (it is empty)"


def content_hash(path: Path, max_bytes: int) -> tuple[str, int]:
    """Hash a file's bytes, and its metadata file's: hexadecimal SHA-256, and the file's size.

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
            digest = hashlib.file_digest(stream, "sha256")
        sidecar = sidecar_of(path)
        if sidecar.is_file():
            with sidecar.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest(), status.st_size
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror or error}") from error
