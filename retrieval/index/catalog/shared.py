"""Collections that several threads of one process use at once, closed when no thread does.

An embedded collection belongs to one process, and its engine is opened once. A program that serves
keeps it open while it is used, and a few seconds longer. A command of another process that waits
for it can open it then.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.index.catalog import Catalog, Draft, Versions
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.ledger import Entries

IDLE = 3.0  # seconds that a collection stays open when nobody uses it


@dataclass(slots=True)
class _Held:
    """An open collection, the number of its users, and the timer that closes it."""

    collection: Collection
    close: Callable[[], None]
    users: int = 0
    timer: threading.Timer | None = None


class SharedCatalog(Catalog):
    """Another catalog, whose collections are each open once, whoever uses them.

    Parameters
    ----------
    idle
        Seconds that a collection stays open when nobody uses it.
    """

    def __init__(self, catalog: Catalog, idle: float = IDLE) -> None:
        self.location = catalog.location
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
        self, name: str, version: int, *, short_lived: bool = False, wait: bool = False
    ) -> Collection:
        """See `Catalog.open_version`; a collection that is open already is opened once."""
        del short_lived  # this process closes it whenever nobody uses it
        key = name, version
        with self._lock:
            opening = self._opening.setdefault(key, threading.Lock())
        with opening:  # others do not wait while this one is opened, which may take long
            with self._lock:
                if key in self._held:
                    return self._used(self._held[key])
            opened = self._catalog.open_version(name, version, short_lived=True, wait=wait)
            return self._keep(key, opened)

    def create(self, name: str, card: IndexCard) -> Collection:
        """See `Catalog.create`."""
        self._catalog.create(name, card).close()
        return self.open(name)

    def draft(self, name: str, card: IndexCard) -> AbstractContextManager[Draft]:
        """See `Catalog.draft`; a draft is not shared."""
        return self._catalog.draft(name, card)

    def publish(self, name: str, version: int) -> None:
        """See `Catalog.publish`."""
        self._catalog.publish(name, version)

    def version_lock(self, name: str) -> AbstractContextManager[None]:
        """See `Catalog.version_lock`."""
        return self._catalog.version_lock(name)

    def remove_version(self, name: str, version: int) -> None:
        """See `Catalog.remove_version`."""
        self._close_idle((name, version))
        self._catalog.remove_version(name, version)

    def ingestion_lock(self, name: str) -> AbstractContextManager[None]:
        """See `Catalog.ingestion_lock`."""
        return self._catalog.ingestion_lock(name)

    def probe(self) -> str:
        """See `Catalog.probe`."""
        return self._catalog.probe()

    def recover(self, name: str) -> None:
        """See `Catalog.recover`."""
        self._catalog.recover(name)

    def ledger_entries(self, name: str, version: int) -> Entries:
        """See `Catalog.ledger_entries`."""
        return self._catalog.ledger_entries(name, version)

    def size(self, name: str) -> int | None:
        """See `Catalog.size`."""
        return self._catalog.size(name)

    def close(self) -> None:
        """Close the collections that nobody uses, and the connection."""
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
            held.close()  # under the lock: a thread that opens it again must find it closed
