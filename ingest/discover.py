"""Find the files to ingest: readable files below the given paths, and nothing outside them."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from twotower.ingest.metadata import SUFFIX, sidecar_of
from twotower.retrieval.vocabulary.errors import DocumentError

_NOT_REGULAR = "this is not a regular file but a pipe, a socket, a device or a folder"

_LOCK_FILE = "~$"  # begins the name of the file that marks an office document as open


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to ingest: its absolute path, and the given folder that contains it.

    Attributes
    ----------
    error
        Reason why the file cannot be ingested, if its path or type already shows that.
    """

    path: Path
    root: Path
    error: DocumentError | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """The files below the given paths.

    Attributes
    ----------
    scopes
        Files and folders that were searched and contain documents: absolute, links resolved.
    skipped
        Number of files that no loader reads, by suffix.
    errors
        One line for each path that does not exist or contains nothing to read.
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
    """Search the paths in order; a file that several paths contain counts once.

    Parameters
    ----------
    paths
        Files and folders. A file given by its own path is always included, so that the user learns
        why it cannot be read.
    suffixes
        Suffixes of the files to include, in lower case.
    hidden
        Whether to include hidden files and folders.
    gitignore
        Whether to leave out files that a ``.gitignore`` names.
    data_dir
        Folder to leave out.

    Returns
    -------
    Discovery
        Links that lead out of their root or have no target, pipes, sockets and devices are
        included with an error if their suffix is in ``suffixes``.
    """
    files: dict[Path, FoundFile] = {}
    scopes: list[Path] = []
    skipped: Counter[str] = Counter()
    errors: list[str] = []
    walk = _Walk(hidden, gitignore, data_dir.resolve() if data_dir else None)
    for path in paths:
        if error := _access_error(path):
            errors.append(error)
        elif path.is_dir():
            root = path.resolve()
            below, skipped_below = _files_below(root, walk, suffixes)
            for file in below:
                files.setdefault(file.path, file)
            skipped += skipped_below
            if below:
                scopes.append(root)
            else:
                errors.append(f"{path}: no document in this folder ({_summary(skipped_below)})")
        else:
            file_path = path.parent.resolve() / path.name
            files.setdefault(file_path.resolve(), FoundFile(file_path, file_path.parent))
            scopes.append(file_path)
    return Discovery(tuple(files.values()), tuple(scopes), skipped, (*errors, *walk.errors))


def _files_below(
    root: Path, walk: "_Walk", suffixes: Collection[str]
) -> tuple[list[FoundFile], Counter[str]]:
    """List the files of one folder, and count the skipped ones by suffix."""
    files: list[FoundFile] = []
    skipped: Counter[str] = Counter()
    for path in walk.below(root, ()):
        if _is_sidecar(path):
            continue
        if path.suffix.lower() in suffixes:
            error = _type_error(path, root)
            files.append(FoundFile(path if error else path.resolve(), root, error))
        else:
            skipped[path.suffix.lower() or "no suffix"] += 1
    return files, skipped


def _is_sidecar(path: Path) -> bool:
    document = path.name.removesuffix(SUFFIX)
    return document not in ("", path.name) and path.with_name(document).is_file()


def _access_error(path: Path) -> str:
    try:
        if path.exists():
            return ""
    except OSError as error:
        return f"{path}: {error.strerror or error}; check the path"
    return f"{path}: no such file or folder; check the path"


class _Walk:
    """Lists the contents of folders; ``errors`` has a line for each folder that cannot be read."""

    def __init__(self, hidden: bool, gitignore: bool, data_dir: Path | None) -> None:
        self.errors: list[str] = []
        self._hidden = hidden
        self._gitignore = gitignore
        self._data_dir = data_dir

    def below(self, folder: Path, ignored: Sequence[tuple[Path, GitIgnoreSpec]]) -> Iterator[Path]:
        """Yield all entries below a folder except folders, sorted by name."""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self.errors.append(f"{folder}: {error.strerror or error}; the folder was not read")
            return
        if self._gitignore and any(entry.name == ".gitignore" for entry in entries):
            ignored = [*ignored, *_read_gitignore(folder)]
        for entry in entries:
            path = Path(entry.path)
            below = entry.is_dir(follow_symlinks=False)
            if (entry.name.startswith(".") and not self._hidden) or path == self._data_dir:
                continue
            if entry.name.startswith(_LOCK_FILE) and not below:
                continue
            if _is_ignored(path, below, ignored):
                continue
            if below:
                yield from self.below(path, ignored)
            elif not (entry.is_symlink() and path.is_dir()):  # do not follow links to folders
                yield path


def _read_gitignore(folder: Path) -> Iterator[tuple[Path, GitIgnoreSpec]]:
    try:
        lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
        yield folder, GitIgnoreSpec.from_lines(lines)
    except (OSError, ValueError):
        return  # unreadable rules ignore nothing


def _is_ignored(path: Path, folder: bool, ignored: Sequence[tuple[Path, GitIgnoreSpec]]) -> bool:
    """Whether the innermost `.gitignore` with a rule for the path ignores it."""
    for base, spec in reversed(ignored):
        relative = path.relative_to(base).as_posix() + ("/" if folder else "")
        verdict = spec.check_file(relative).include
        if verdict is not None:
            return verdict
    return False


def _type_error(path: Path, root: Path) -> DocumentError | None:
    """Return an error for an entry that must not be read, such as a link out of the folder."""
    try:
        if path.is_symlink():
            target = path.resolve(strict=True)
            if not target.is_relative_to(root):
                return DocumentError(
                    "the file is a link to a target outside the folder", "link-outside"
                )
        if not path.is_file():
            return DocumentError(_NOT_REGULAR, "not-a-file")
    except (OSError, RuntimeError):
        return DocumentError("the file is a broken link: it has no target", "broken-link")
    return None


def _summary(skipped: Counter[str]) -> str:
    counts = ", ".join(f"{count} x {suffix}" for suffix, count in skipped.most_common(5))
    return f"it contains {counts}" if counts else "it is empty"


def content_hash(path: Path, max_bytes: int) -> tuple[str, int]:
    """Return the hexadecimal SHA-256 of a file and its sidecar, and the size of the file.

    Raises
    ------
    DocumentError
        ``empty``, ``too-large``, ``not-a-file`` or ``unreadable``.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DocumentError(_NOT_REGULAR, "not-a-file")
        if status.st_size == 0:
            raise DocumentError("the file is empty (0 bytes)", "empty")
        if status.st_size > max_bytes:
            raise DocumentError(
                f"the file has {status.st_size / 2**20:.0f} MB; the limit is "
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
        raise DocumentError(f"the file cannot be read: {error.strerror or error}") from error
