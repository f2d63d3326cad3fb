"""Collections that several threads of one process use at once, let go of when none does.

An embedded collection belongs to one process, and its engine is opened once. A program that serves
holds it while it is asked, and a few seconds longer; a command of another process that waits for it
comes in then.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from retrieval.catalog import Catalog, Draft, Versions
from retrieval.collection import Collection
from retrieval.store.card import IndexCard

IDLE = 3.0  # seconds that a collection stays open when nobody uses it


@dataclass(slots=True)
class _Held:
    """An open collection, who uses it, and what will close it."""

    collection: Collection
    closed: Callable[[], None]
    users: int = 0
    timer: threading.Timer | None = None


class SharedCatalog(Catalog):
    """Another catalog, whose collections are each open once; closing one is letting go of it.

    Parameters
    ----------
    idle
        Seconds that a collection stays open when nobody uses it.
    """

    def __init__(self, catalog: Catalog, idle: float = IDLE) -> None:
        self.place = catalog.place
        self.options = catalog.options
        self._catalog = catalog
        self._idle = idle
        self._held: dict[tuple[str, int], _Held] = {}
        self._lock = threading.RLock()
        self._opening: dict[tuple[str, int], threading.Lock] = {}

    def names(self) -> list[str]:
        """See `Catalog.names`."""
        return self._catalog.names()

    def versions(self, name: str) -> Versions:
        """See `Catalog.versions`."""
        return self._catalog.versions(name)

    def open_version(
        self, name: str, version: int, *, brief: bool = False, patient: bool = False
    ) -> Collection:
        """See `Catalog.open_version`: the collection that others have open, where they do."""
        del brief  # this process lets go of it whenever nobody asks
        key = name, version
        with self._lock:
            opening = self._opening.setdefault(key, threading.Lock())
        with opening:  # others do not wait while this one is opened, which may take long
            with self._lock:
                if key in self._held:
                    return self._used(self._held[key])
            opened = self._catalog.open_version(name, version, brief=True, patient=patient)
            return self._keep(key, opened)

    def create(self, name: str, card: IndexCard) -> Collection:
        """See `Catalog.create`."""
        self._catalog.create(name, card).close()
        return self.open(name)

    def draft(self, name: str, card: IndexCard) -> AbstractContextManager[Draft]:
        """See `Catalog.draft`: nobody shares it."""
        return self._catalog.draft(name, card)

    def publish(self, name: str, version: int) -> None:
        """See `Catalog.publish`."""
        self._catalog.publish(name, version)

    def working(self, name: str) -> AbstractContextManager[None]:
        """See `Catalog.working`."""
        return self._catalog.working(name)

    def remove_version(self, name: str, version: int) -> None:
        """See `Catalog.remove_version`."""
        self._close_idle((name, version))
        self._catalog.remove_version(name, version)

    def reserved(self, name: str) -> AbstractContextManager[None]:
        """See `Catalog.reserved`."""
        return self._catalog.reserved(name)

    def size(self, name: str) -> int | None:
        """See `Catalog.size`."""
        return self._catalog.size(name)

    def close(self) -> None:
        """Let go of everything that nobody uses."""
        with self._lock:
            keys = list(self._held)
        for key in keys:
            self._close_idle(key)
        self._catalog.close()

    def _keep(self, key: tuple[str, int], collection: Collection) -> Collection:
        held = _Held(collection, collection.released)
        collection.released = lambda: self._release(key)
        with self._lock:
            self._held[key] = held
            return self._used(held)

    def _used(self, held: _Held) -> Collection:
        held.users += 1
        if held.timer is not None:
            held.timer.cancel()
            held.timer = None
        return held.collection

    def _release(self, key: tuple[str, int]) -> None:
        with self._lock:
            held = self._held[key]
            held.users -= 1
            if held.users == 0:
                held.timer = threading.Timer(self._idle, self._close_idle, (key,))
                held.timer.daemon = True
                held.timer.start()

    def _close_idle(self, key: tuple[str, int]) -> None:
        with self._lock:
            held = self._held.get(key)
            if held is None or held.users:
                return
            if held.timer is not None:
                held.timer.cancel()
            del self._held[key]
            held.closed()  # under the lock: whoever opens it again has to find it closed
