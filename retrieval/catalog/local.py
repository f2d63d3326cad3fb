"""Embedded collections: folders of versions, and a pointer file that tells which one is live.

::

    <data directory>/collections/NAME/versions.json     {"live": 2, "previous": 1}
                                      1/  2/            the engine's files
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from retrieval.catalog import Catalog, Draft, Versions, check_name
from retrieval.collection import Collection
from retrieval.errors import InUse, ServiceError
from retrieval.store.card import IndexCard
from retrieval.store.edge import EdgeStore
from retrieval.store.owner import Ownership
from retrieval.store.protocol import StoreOptions

_POINTER = "versions.json"
_OURS = ".twotower"  # stands in every folder of a version, and in no other
_PATIENCE = 10.0  # seconds for a process that lets go in a moment
_TOLD_AFTER = 0.5
_LOOKED_AGAIN = 0.02


class LocalCatalog(Catalog):
    """Collections below ``<data directory>/collections``.

    Parameters
    ----------
    tell
        Told what a wait is for.
    """

    def __init__(self, data_dir: Path, options: StoreOptions, tell: Callable[[str], None]) -> None:
        self.place = os.path.realpath(data_dir)
        self._folder = data_dir / "collections"
        self.options = options
        self._tell = tell

    def names(self) -> list[str]:
        """See `Catalog.names`."""
        try:
            return sorted(path.parent.name for path in self._folder.glob(f"*/{_POINTER}"))
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def versions(self, name: str) -> Versions:
        """See `Catalog.versions`."""
        folder = self._folder / name
        found: set[int] = set()
        try:
            names = (path.parent.name for path in folder.glob(f"[1-9]*/{_OURS}"))
            found = {int(name) for name in names if name.isdecimal()}
            pointer = json.loads((folder / _POINTER).read_text(encoding="utf-8"))
            live, previous = _numbers(pointer)
        except FileNotFoundError:
            if (folder / "segments").is_dir():
                raise ServiceError(
                    f"collection in {folder} was written by an older twotower: remove the folder "
                    "and ingest the documents again"
                ) from None
            live, previous = None, None
        except (OSError, ValueError) as error:
            raise ServiceError(
                f"collection in {folder} cannot be opened ({error}): restore it from a backup, "
                "or remove the folder and ingest again"
            ) from error
        previous = previous if previous in found else None
        return Versions(live, previous, tuple(sorted(found - {live, previous})))

    def open_version(
        self, name: str, version: int, *, brief: bool = False, patient: bool = False
    ) -> Collection:
        """See `Catalog.open_version`."""
        started, told = time.monotonic(), False
        while True:
            try:
                store = EdgeStore(self._path(name, version), brief=brief)
                break
            except InUse as error:
                waited = time.monotonic() - started
                if not patient and (not error.brief or waited > _PATIENCE):
                    raise
                if waited > _TOLD_AFTER and not told:
                    self._tell(
                        f"waiting: {str(error).removesuffix(': wait until it ends, or stop it')}"
                    )
                    told = True
                time.sleep(_LOOKED_AGAIN)
        return self._collection(name, version, store)

    def create(self, name: str, card: IndexCard) -> Collection:
        """See `Catalog.create`."""
        check_name(name)
        versions = self.versions(name)
        if versions.live is not None:
            raise self.was_made(name)
        for left in versions.others:
            self.remove_version(name, left)
        collection = self._created(name, 1, self.laid_out(card), brief=False)
        self._point(name, Versions(1))
        return collection

    @contextmanager
    def draft(self, name: str, card: IndexCard) -> Iterator[Draft]:
        """See `Catalog.draft`."""
        check_name(name)
        with self.working(name):
            card, versions = self.laid_out(card), self.versions(name)
            for version in versions.drafts:
                begun = self._begun(name, version, card)
                if begun is not None:
                    with begun:
                        yield Draft(begun, version, resumed=True)
                    return
            for left in versions.others:
                self.remove_version(name, left)
            with self._created(name, versions.following, card, brief=True) as collection:
                yield Draft(collection, versions.following, resumed=False)

    def publish(self, name: str, version: int) -> None:
        """See `Catalog.publish`."""
        self._point(name, self.versions(name).published(version))

    def working(self, name: str) -> AbstractContextManager[None]:
        """See `Catalog.working`."""
        return self._locked(f".{name}~versions.lock", f"another process re-indexes '{name}'")

    def remove_version(self, name: str, version: int) -> None:
        """See `Catalog.remove_version`."""
        path = self._path(name, version)
        ownership = Ownership(path, brief=True)  # nobody else has it open
        try:
            for part in path.iterdir():
                if part.is_dir():
                    shutil.rmtree(part)
                elif part.name != _OURS:
                    part.unlink()
            (path / _OURS).unlink()  # last: whoever is killed before leaves a folder of ours
            path.rmdir()
        finally:
            ownership.release()

    def reserved(self, name: str) -> AbstractContextManager[None]:
        """See `Catalog.reserved`."""
        return self._locked(f".{name}.lock", f"another ingestion into '{name}' is running")

    def size(self, name: str) -> int:
        """See `Catalog.size`."""
        files = (file for file in (self._folder / name).rglob("*") if file.is_file())
        return sum(file.stat().st_blocks * 512 for file in files)

    def _path(self, name: str, version: int) -> Path:
        return self._folder / name / str(version)

    def _begun(self, name: str, version: int, card: IndexCard) -> Collection | None:
        """Open a draft with this card; ``None`` where it is another one, or was hardly begun."""
        try:
            begun = self.open_version(name, version, brief=True)
        except InUse:
            raise
        except ServiceError:
            return None
        if begun.has_card() and begun.card().builds_like(card):
            return begun
        begun.close()
        return None

    def _created(self, name: str, version: int, card: IndexCard, *, brief: bool) -> Collection:
        path = self._path(name, version)
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise ServiceError(
                    f"{path} is in the way, and not of twotower: remove it, or choose another "
                    "name with --collection"
                )
            path.mkdir(parents=True, exist_ok=True)  # there, empty: killed before it was marked
            (path / _OURS).touch()
        except OSError as error:
            raise _unusable(self._folder, error) from error
        store = EdgeStore(  # brief: whoever asks for it has waited for it to go live
            path, card.encoder.dimension, self.options, brief=brief
        )
        collection = self._collection(name, version, store)
        collection.write_card(card)
        return collection

    def _collection(self, name: str, version: int, store: EdgeStore) -> Collection:
        return Collection(name, store, lambda: self.versions(name).live in (version, None))

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
        lock = FileLock(self._folder / file, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise InUse(f"{busy}: wait until it ends, or stop it") from error
        try:
            yield
        finally:
            lock.release()

    def _check_writable(self) -> None:
        """Fail before hours of work, not after them."""
        probe = self._folder / ".probe"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise _unusable(self._folder, error) from error


def _numbers(pointer: object) -> tuple[int, int | None]:
    """The live and the previous version that a pointer names.

    Raises
    ------
    ValueError
        If it is no pointer.
    """
    if isinstance(pointer, dict):
        live, previous = pointer.get("live"), pointer.get("previous")
        if type(live) is int and (previous is None or type(previous) is int):
            return live, previous
    raise ValueError(f"{_POINTER} names no version")


def _unusable(folder: Path, error: OSError) -> ServiceError:
    return ServiceError(
        f"data directory {folder.parent}: {error.strerror or error}; make it writable, or set "
        "TWOTOWER_DATA_DIR to another place"
    )
