"""The collections of one data directory: which there are, opened and created by name."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.collection import Collection
from retrieval.errors import ConfigurationError, ServiceError
from retrieval.store.edge import EdgeStore

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Catalog:
    """Embedded collections, each in a folder of its own under ``<data directory>/collections``."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "collections"

    def names(self) -> list[str]:
        """List the collections, by name.

        Raises
        ------
        ServiceError
            If the data directory cannot be read.
        """
        try:
            return sorted(
                path.name
                for path in self._folder.iterdir()
                if path.is_dir() and _NAME.fullmatch(path.name)
            )
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def exists(self, name: str) -> bool:
        """Whether there is a collection of this name.

        Raises
        ------
        ConfigurationError
            If it is no possible name.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"'{name}' is no collection name: use up to 64 letters, digits, '-', '_', '.'"
            )
        return name in self.names()

    def open(self, name: str) -> Collection:
        """Open a collection that exists.

        Raises
        ------
        ConfigurationError
            If it does not; the message names those that do.
        ServiceError
            If another process has it open, or its files are damaged.
        """
        if not self.exists(name):
            others = ", ".join(self.names()) or "none yet"
            raise ConfigurationError(
                f"collection '{name}' does not exist (there are: {others}): run "
                "`twotower ingest PATH` first, or choose another with --collection"
            )
        return Collection(name, EdgeStore(self._folder / name))

    def create(self, name: str, dimension: int) -> Collection:
        """Create an empty collection for vectors of this dimension.

        What a creation that was interrupted left behind is replaced: a folder without a card.
        """
        folder = self._folder / name
        if self.exists(name):
            with self.open(name) as collection:
                if collection.card() is not None:
                    raise ValueError(f"collection '{name}' exists")
            shutil.rmtree(folder)
        return Collection(name, EdgeStore(folder, dimension))

    @contextmanager
    def reserved(self, name: str) -> Iterator[None]:
        """Keep a second ingestion into the same collection out, from before it exists.

        Raises
        ------
        ServiceError
            If one is running, or the data directory cannot be written to.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 - searches need no lock

        self.check_writable()
        lock = FileLock(self._folder / f".{name}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise ServiceError(
                f"another ingestion into '{name}' is running: wait until it ends, or stop it"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def check_writable(self) -> None:
        """Fail before hours of work, not after them.

        Raises
        ------
        ServiceError
            If the data directory cannot be written to.
        """
        probe = self._folder / ".probe"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def size(self, name: str) -> int:
        """Bytes that a collection takes on disk."""
        files = (file for file in (self._folder / name).rglob("*") if file.is_file())
        return sum(file.stat().st_blocks * 512 for file in files)


def _unusable(folder: Path, error: OSError) -> ServiceError:
    return ServiceError(
        f"data directory {folder.parent}: {error.strerror or error}; make it writable, or set "
        "TWOTOWER_DATA_DIR to another place"
    )
