"""Collections on a Qdrant server: versions as collections of the server, an alias for the live one.

::

    documents            alias of documents@2, which is live
    documents@previous   alias of documents@1

A collection or an alias of that name that looks otherwise was made by something else, and is left
alone.
"""

import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

from qdrant_client import models

from retrieval.catalog import Catalog, Draft, Versions, check_name
from retrieval.collection import Collection
from retrieval.errors import ConfigurationError, InUse, ServiceError
from retrieval.store.card import IndexCard
from retrieval.store.protocol import StoreOptions
from retrieval.store.server import Server, ServerStore

_VERSION = re.compile(r"(?P<name>.+)@(?P<version>\d+)")
_PREVIOUS = "@previous"
_LEASE_ID = UUID("00000000-0000-0000-0000-000000000002")
_BEAT = 2.0  # seconds between two signs of life
_SILENCE = 10.0  # seconds without one after which a holder counts as dead


class ServerCatalog(Catalog):
    """Collections of one server.

    Parameters
    ----------
    server
        Makes the connection when it is first needed, so that `--help` and the like need none.
    tell
        Told what a wait is for.
    """

    def __init__(
        self,
        place: str,
        connect: Callable[[], Server],
        options: StoreOptions,
        tell: Callable[[str], None],
    ) -> None:
        self.place = place
        self._connect = connect
        self.options = options
        self._tell = tell
        self._held: _Lease | None = None

    @cached_property
    def server(self) -> Server:
        """The connection, to a server that is new enough."""
        server = self._connect()
        server.check()
        return server

    def names(self) -> list[str]:
        """See `Catalog.names`."""
        found = (_live(alias, target) for alias, target in self._aliases().items())
        return sorted(name for name, _ in filter(None, found))

    def versions(self, name: str) -> Versions:
        """See `Catalog.versions`.

        Raises
        ------
        ConfigurationError
            If the name belongs to something that this program did not make.
        """
        aliases, collections = self._aliases(), self._collections()
        known = {_number(collection, name) for collection in collections} - {None}
        target = aliases.get(name)
        if name in collections or (target and _number(target, name) is None):
            raise ConfigurationError(
                f"{self.place} has a collection '{name}' that something else made: it is left "
                "alone; choose another name with --collection"
            )
        live = _number(target, name) if target else None
        previous = _number(aliases.get(name + _PREVIOUS, ""), name)
        others = {number for number in known if number is not None} - {live, previous}
        return Versions(live, previous, tuple(sorted(others)))

    def open_version(
        self,
        name: str,
        version: int,
        *,
        brief: bool = False,  # noqa: ARG002 - a server serves all at once
        patient: bool = False,  # noqa: ARG002 - as above
    ) -> Collection:
        """See `Catalog.open_version`."""
        return Collection(
            name,
            ServerStore(self.server, _collection(name, version)),
            lambda: self.versions(name).live in (version, None),
        )

    def create(self, name: str, card: IndexCard) -> Collection:
        """See `Catalog.create`."""
        check_name(name)
        versions = self.versions(name)
        if versions.live is not None:
            raise self.was_made(name)
        collection = self._created(name, versions.following, self.laid_out(card))
        self.publish(name, versions.following)
        return collection

    @contextmanager
    def draft(self, name: str, card: IndexCard) -> Iterator[Draft]:
        """See `Catalog.draft`."""
        check_name(name)
        with self.working(name):
            card, versions = self.laid_out(card), self.versions(name)
            begun, version = None, versions.following
            for other in versions.drafts:
                collection = self.open_version(name, other)
                if collection.has_card() and collection.card().builds_like(card):
                    begun, version = collection, other
            collection = begun or self._created(name, version, card)
            # Where nothing is live yet, there is no other point to hold.
            alone = self._lease(name, version) if versions.live is None else nullcontext()
            with alone:
                yield Draft(collection, version, resumed=begun is not None)

    def publish(self, name: str, version: int) -> None:
        """See `Catalog.publish`."""
        wanted = self.versions(name).published(version)
        steps: list[models.CreateAliasOperation | models.DeleteAliasOperation] = []
        for alias, number in ((name, wanted.live), (name + _PREVIOUS, wanted.previous)):
            if number is not None:
                target = models.CreateAlias(
                    alias_name=alias, collection_name=_collection(name, number)
                )
                gone = models.DeleteAlias(alias_name=alias)
                steps += [
                    models.DeleteAliasOperation(delete_alias=gone),
                    models.CreateAliasOperation(create_alias=target),
                ]
        if self._held is not None:
            self._held.require()
        # One request: the server applies all of it or nothing.
        self.server.call(
            self.server.client.update_collection_aliases, change_aliases_operations=steps
        )

    @contextmanager
    def working(self, name: str) -> Iterator[None]:
        """See `Catalog.working`."""
        live = self.versions(name).live
        if live is None:
            yield
            return
        self.open_version(name, live).card()  # nothing is written to what is not ours
        with self._lease(name, live) as lease:
            self._held = lease
            try:
                yield
            finally:
                self._held = None

    def remove_version(self, name: str, version: int) -> None:
        """See `Catalog.remove_version`; one without a card is not ours."""
        if self.open_version(name, version).has_card():
            self.server.call(self.server.client.delete_collection, _collection(name, version))

    def reserved(self, name: str) -> nullcontext[None]:
        """See `Catalog.reserved`: on a server two ingestions agree, by ids and records."""
        check_name(name)
        _ = self.server
        return nullcontext()

    def size(self, name: str) -> None:
        """See `Catalog.size`."""

    def close(self) -> None:
        """See `Catalog.close`."""
        if "server" in self.__dict__:
            self.server.client.close()

    def _aliases(self) -> dict[str, str]:
        found = self.server.call(self.server.client.get_aliases).aliases
        return {alias.alias_name: alias.collection_name for alias in found}

    def _collections(self) -> set[str]:
        found = self.server.call(self.server.client.get_collections).collections
        return {collection.name for collection in found}

    def _created(self, name: str, version: int, card: IndexCard) -> Collection:
        store = ServerStore.create(
            self.server, _collection(name, version), card.encoder.dimension, self.options
        )
        collection = Collection(name, store, lambda: self.versions(name).live in (version, None))
        collection.write_card(card)
        return collection

    def _lease(self, name: str, version: int) -> "_Lease":
        return _Lease(self.server, _collection(name, version), name, self._tell)


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who holds a lease: machine, process, a token of its own, and its last sign of life."""

    host: str
    pid: int
    command: str
    token: str
    beat: int = 0

    @property
    def is_gone(self) -> bool:
        """Whether it was a process of this machine that ended."""
        if self.host != socket.gethostname() or os.name != "posix":
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


class _Lease:
    """The right to work on versions, for one process at a time; a point that is written if unheld.

    The holder gives a sign of life every two seconds. One that gave none for ten is dead, by the
    clock of the process that watches it: clocks of two machines are never compared.
    """

    def __init__(
        self, server: Server, collection: str, name: str, tell: Callable[[str], None]
    ) -> None:
        self._server = server
        self._collection = collection
        self._name = name
        self._tell = tell
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
        self._me = _Holder(socket.gethostname(), os.getpid(), command, uuid4().hex)
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        held = self._read()
        if held is not None and held.token and not held.is_gone:
            self._tell(f"waiting to see whether {held.command} on {held.host} still works")
            self._ended.wait(_SILENCE)
            if self._read() != held:
                raise self._in_use(held)
        self._write(self._me, held.token if held else "")
        self.require()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()
        return self

    def require(self) -> None:
        """Make sure that nobody took the lease over while this process was held up.

        Raises
        ------
        InUse
            If somebody did.
        """
        now = self._read()
        if now is None or now.token != self._me.token:
            raise self._in_use(now or self._me)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._beating.join()
        self._write(_Holder("", 0, "", ""), self._me.token)

    def _beat(self) -> None:
        beat = 0
        while not self._ended.wait(_BEAT):
            beat += 1
            try:
                self._write(
                    _Holder(self._me.host, self._me.pid, self._me.command, self._me.token, beat),
                    self._me.token,
                )
            except (ServiceError, ConfigurationError):  # the work itself will meet it, and say so
                continue

    def _read(self) -> _Holder | None:
        store = ServerStore(self._server, self._collection)
        payload = store.retrieve([_LEASE_ID]).get(_LEASE_ID)
        return None if payload is None else _Holder(**payload["holder"])

    def _write(self, holder: _Holder, expected: str) -> None:
        """Write the point if it is not there, or held by whom we expect; the server decides."""
        fields = {name: getattr(holder, name) for name in _Holder.__slots__}
        unheld = models.FieldCondition(key="holder.token", match=models.MatchValue(value=expected))
        self._server.call(
            self._server.client.upsert,
            self._collection,
            points=[
                models.PointStruct(
                    id=_LEASE_ID, vector={}, payload={"kind": "lease", "holder": fields}
                )
            ],
            wait=True,
            update_filter=models.Filter(must=[unheld]),
        )

    def _in_use(self, holder: _Holder) -> InUse:
        return InUse(
            f"'{self._name}' is worked on by process {holder.pid} on {holder.host} "
            f"(`{holder.command}`): wait until it ends, or stop it"
        )


def _collection(name: str, version: int) -> str:
    return f"{name}@{version}"


def _number(collection: str, name: str) -> int | None:
    match = _VERSION.fullmatch(collection)
    return int(match["version"]) if match and match["name"] == name else None


def _live(alias: str, target: str) -> tuple[str, int] | None:
    number = _number(target, alias)
    return None if number is None else (alias, number)
