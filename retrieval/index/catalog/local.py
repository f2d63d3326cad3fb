"""Embedded collections: folders of versions, and a pointer file that names the live version.

::

    <data directory>/collections/NAME/versions.json     {"live": 2, "previous": 1}
                                      1/  2/            the engine's files
"""

import importlib.metadata
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import UUID

import numpy as np

from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.index.catalog import VersionedCatalog, Versions
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.ledger import Entries, Ledger
from twotower.retrieval.index.store.edge import EdgeStore
from twotower.retrieval.index.store.owner import Ownership
from twotower.retrieval.index.store.protocol import Point, StoreOptions, VectorQuery, VectorSpec
from twotower.retrieval.vocabulary.errors import InUse, ServiceError, TwoTowerError

_LOG = logging.getLogger(__name__)

_POINTER = "versions.json"
_MARK = ".twotower"  # a file in every folder of a version, and in no other folder
_LONGEST_WAIT = 10.0  # seconds for a process that closes the collection in a moment
_LOGGED_WAIT = 0.5
_RETRY_PAUSE = 0.02
_LOCK_WAIT = 0.2  # seconds: a process that only looks whether the lock is held has it for a moment


class LocalCatalog(VersionedCatalog):
    """Collections below ``<data directory>/collections``."""

    def __init__(self, data_dir: Path, options: StoreOptions) -> None:
        self.location = os.path.realpath(data_dir)
        self._folder = data_dir / "collections"
        self.options = options

    def names(self) -> list[str]:
        """See `Catalog.names`."""
        try:
            return sorted(path.parent.name for path in self._folder.glob(f"*/{_POINTER}"))
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def versions(self, name: str) -> Versions:
        """See `Catalog.versions`."""
        folder = self._folder / name
        numbers: set[int] = set()
        try:
            numbers = self._numbers(name)
            pointer = json.loads((folder / _POINTER).read_text(encoding="utf-8"))
            live, previous = _read_pointer(pointer)
        except FileNotFoundError:
            if (folder / "segments").is_dir():
                raise ServiceError(
                    f"collection in {folder} was written by an older twotower: remove the folder "
                    "and ingest the documents again"
                ) from None
            live, previous = None, None
        except (OSError, ValueError) as error:
            raise ServiceError(
                f"collection in {folder} cannot be opened ({error}): run `twotower doctor "
                "--repair`, or restore the folder from a backup"
            ) from error
        previous = previous if previous in numbers else None
        return Versions(live, previous, tuple(sorted(numbers - {live, previous})))

    def open_version(
        self, name: str, version: int, *, short_lived: bool = False, wait: bool = False
    ) -> Collection:
        """See `Catalog.open_version`."""
        started, logged = time.monotonic(), False
        while True:
            try:
                store = EdgeStore(self._path(name, version), short_lived=short_lived)
                break
            except InUse as error:
                waited = time.monotonic() - started
                if not wait and (not error.short_lived or waited > _LONGEST_WAIT):
                    raise
                if waited > _LOGGED_WAIT and not logged:
                    reason = str(error).removesuffix(": wait until it ends, or stop it")
                    _LOG.warning("waiting: %s", reason)
                    logged = True
                time.sleep(_RETRY_PAUSE)
        return self._collection(name, version, store)

    def version_lock(self, name: str) -> AbstractContextManager[None]:
        """See `Catalog.version_lock`."""
        return self._locked(f".{name}~versions.lock", f"another process re-indexes '{name}'")

    def remove_version(self, name: str, version: int) -> None:
        """See `Catalog.remove_version`."""
        path = self._path(name, version)
        ownership = Ownership(path, short_lived=True)  # nobody else has it open
        try:
            for part in path.iterdir():
                if part.is_dir():
                    shutil.rmtree(part)
                elif part.name != _MARK:
                    part.unlink()
            (path / _MARK).unlink()  # last: a process that is killed before leaves a marked folder
            path.rmdir()
        finally:
            ownership.release()

    def ingestion_lock(self, name: str) -> AbstractContextManager[None]:
        """See `Catalog.ingestion_lock`."""
        return self._locked(f".{name}.lock", f"another ingestion into '{name}' is running")

    def probe(self) -> str:
        """See `Catalog.probe`: write a point and search for it."""
        id, row = UUID(int=1), np.array([0.6, 0.8], dtype=np.float32)
        with tempfile.TemporaryDirectory() as folder:
            store = EdgeStore(Path(folder) / "probe", [VectorSpec("dense", "dense", 2)])
            store.upsert([Point(id, {"kind": "chunk"}, {"dense": row})])
            found = store.search([VectorQuery("dense", row)], 1)
            store.close()
        if [item.id for ranking in found for item in ranking] != [id]:
            raise ServiceError("the embedded engine does not find a point that it has just written")
        version = importlib.metadata.version("qdrant-edge-py")
        return f"qdrant-edge {version} (embedded) writes and finds a point"

    def recover(self, name: str) -> None:
        """See `Catalog.recover`: the newest version becomes the live one."""
        try:
            self.versions(name)
        except ServiceError:
            numbers = self._numbers(name)
            if numbers:
                self._point(name, Versions(max(numbers)))

    def ledger_entries(self, name: str, version: int) -> Entries:
        """See `Catalog.ledger_entries`."""
        return Ledger(self._path(name, version)).read()

    def size(self, name: str) -> int:
        """See `Catalog.size`."""
        files = (file for file in (self._folder / name).rglob("*") if file.is_file())
        return sum(file.stat().st_blocks * 512 for file in files)

    def _path(self, name: str, version: int) -> Path:
        return self._folder / name / str(version)

    def _numbers(self, name: str) -> set[int]:
        """The numbers of all versions of a collection."""
        folders = (mark.parent.name for mark in (self._folder / name).glob(f"[1-9]*/{_MARK}"))
        return {int(folder) for folder in folders if folder.isdecimal()}

    def _discard(self, name: str, versions: Versions) -> None:
        for version in versions.others:
            self.remove_version(name, version)

    def _create_version(
        self, name: str, version: int, card: IndexCard, *, short_lived: bool
    ) -> Collection:
        path = self._path(name, version)
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise ServiceError(
                    f"{path} exists but was not created by twotower: remove it, or choose another "
                    "name for the collection"
                )
            # An empty folder is left by a process that was killed before it made the mark.
            path.mkdir(parents=True, exist_ok=True)
            (path / _MARK).touch()
        except OSError as error:
            raise _unusable(self._folder, error) from error
        store = EdgeStore(path, card.specs, self.options, short_lived=short_lived)
        collection = self._collection(name, version, store)
        collection.write_card(card)
        return collection

    def _collection(self, name: str, version: int, store: EdgeStore) -> Collection:
        ledger = Ledger(self._path(name, version))
        return Collection(name, store, lambda: self.versions(name).live in (version, None), ledger)

    def _point(self, name: str, versions: Versions) -> None:
        pointer = self._folder / name / _POINTER
        draft = pointer.with_suffix(".new")
        content = json.dumps({"live": versions.live, "previous": versions.previous})
        with draft.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(pointer)

    @contextmanager
    def _locked(self, file: str, busy: str) -> Iterator[None]:
        from filelock import FileLock, Timeout  # noqa: PLC0415 - searches need no lock

        self._check_writable()
        lock = FileLock(self._folder / file, timeout=_LOCK_WAIT)
        try:
            lock.acquire()
        except Timeout as error:
            raise InUse(f"{busy}: wait until it ends, or stop it") from error
        try:
            yield
        finally:
            lock.release()

    def _unknown(self, name: str) -> TwoTowerError:
        """See `VersionedCatalog._unknown`; a first ingestion may be about to create it."""
        if (self._folder / f".{name}.lock").exists():
            try:
                with self.ingestion_lock(name):
                    pass
            except InUse:
                return InUse(
                    f"the first ingestion into '{name}' is running and has written nothing yet: "
                    "search again in a moment"
                )
            except ServiceError:  # a folder that one may only read
                pass
        return super()._unknown(name)

    def _check_writable(self) -> None:
        """Fail before hours of work, not after them."""
        probe = self._folder / ".probe"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise _unusable(self._folder, error) from error


def _read_pointer(pointer: object) -> tuple[int, int | None]:
    """The live and the previous version that a pointer names.

    Raises
    ------
    ValueError
        If it is not a pointer.
    """
    if isinstance(pointer, dict):
        live, previous = pointer.get("live"), pointer.get("previous")
        if type(live) is int and (previous is None or type(previous) is int):
            return live, previous
    raise ValueError(f"{_POINTER} names no version")


def _unusable(folder: Path, error: OSError) -> ServiceError:
    return ServiceError(
        f"data directory {folder.parent}: {error.strerror or error}; make it writable, or set "
        "TWOTOWER_DATA_DIR to another directory"
    )
