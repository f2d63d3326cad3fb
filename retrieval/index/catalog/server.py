"""Collections on a Qdrant server: versions as collections of the server, an alias for the live one.

::

    documents            alias of documents@2, which is live
    documents@previous   alias of documents@1

twotower does not touch a collection or an alias of such a name that looks different: something else
created it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property

from qdrant_client import models

from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.index.catalog import VersionedCatalog, Versions, check_name
from twotower.retrieval.index.catalog.lease import Lease
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.store.connection import Server
from twotower.retrieval.index.store.protocol import StoreOptions
from twotower.retrieval.index.store.server import ServerStore
from twotower.retrieval.vocabulary.errors import ConfigurationError

_VERSION = re.compile(r"(?P<name>.+)@(?P<version>\d+)")
_PREVIOUS = "@previous"


class ServerCatalog(VersionedCatalog):
    """Collections of one server.

    Parameters
    ----------
    connect
        Function that makes the connection; it is called when the connection is first needed.
    """

    def __init__(
        self,
        location: str,
        connect: Callable[[], Server],
        options: StoreOptions,
    ) -> None:
        self.location = location
        self._connect = connect
        self.options = options
        self._lease: Lease | None = None  # held by this process

    @cached_property
    def server(self) -> Server:
        """The connection, to a server that is new enough."""
        server = self._connect()
        server.check()
        return server

    def names(self) -> list[str]:
        """See `Catalog.names`."""
        aliases = self._aliases().items()
        return sorted(name for name, target in aliases if _number(target, name) is not None)

    def versions(self, name: str) -> Versions:
        """See `Catalog.versions`.

        Raises
        ------
        ConfigurationError
            If the name belongs to something that twotower did not create.
        """
        aliases, collections = self._aliases(), self._collections()
        numbers = {_number(collection, name) for collection in collections}
        target = aliases.get(name)
        if name in collections or (target and _number(target, name) is None):
            raise ConfigurationError(
                f"{self.location} has a collection '{name}' that something else created: choose "
                "another name"
            )
        live = _number(target, name) if target else None
        previous = _number(aliases.get(name + _PREVIOUS, ""), name)
        others = {number for number in numbers if number is not None} - {live, previous}
        return Versions(live, previous, tuple(sorted(others)))

    def open_version(
        self,
        name: str,
        version: int,
        *,
        short_lived: bool = False,  # noqa: ARG002 - a server serves all processes
        wait: bool = False,  # noqa: ARG002 - as above
    ) -> Collection:
        """See `Catalog.open_version`."""
        return self._collection(
            name, version, ServerStore(self.server, _collection_name(name, version))
        )

    @contextmanager
    def version_lock(self, name: str) -> Iterator[None]:
        """See `Catalog.version_lock`."""
        live = self.versions(name).live
        if live is None:
            yield
            return
        self.open_version(name, live).card()  # nothing is written where twotower wrote no card
        with self._new_lease(name, live) as lease:
            self._lease = lease
            try:
                yield
            finally:
                self._lease = None

    def remove_version(self, name: str, version: int) -> None:
        """See `Catalog.remove_version`; a collection without a card is not of twotower."""
        if self.open_version(name, version).has_card():
            self.server.call(self.server.client.delete_collection, _collection_name(name, version))

    def ingestion_lock(self, name: str) -> nullcontext[None]:
        """See `Catalog.ingestion_lock`; two ingestions on a server agree, by ids and records."""
        check_name(name)
        _ = self.server
        return nullcontext()

    def size(self, name: str) -> None:
        """See `Catalog.size`."""

    def probe(self) -> str:
        """See `Catalog.probe`."""
        version = self.server.call(self.server.client.info).version
        return f"{self.location} answers, with Qdrant {version}"

    def close(self) -> None:
        """See `Catalog.close`."""
        if "server" in self.__dict__:
            self.server.client.close()

    def _aliases(self) -> dict[str, str]:
        aliases = self.server.call(self.server.client.get_aliases).aliases
        return {alias.alias_name: alias.collection_name for alias in aliases}

    def _collections(self) -> set[str]:
        collections = self.server.call(self.server.client.get_collections).collections
        return {collection.name for collection in collections}

    def _create_version(
        self,
        name: str,
        version: int,
        card: IndexCard,
        *,
        short_lived: bool,  # noqa: ARG002 - as above
    ) -> Collection:
        collection_name = _collection_name(name, version)
        store = ServerStore.create(self.server, collection_name, card.specs, self.options)
        collection = self._collection(name, version, store)
        collection.write_card(card)
        return collection

    def _point(self, name: str, versions: Versions) -> None:
        steps: list[models.CreateAliasOperation | models.DeleteAliasOperation] = []
        for alias, number in ((name, versions.live), (name + _PREVIOUS, versions.previous)):
            if number is not None:
                target = models.CreateAlias(
                    alias_name=alias, collection_name=_collection_name(name, number)
                )
                old = models.DeleteAlias(alias_name=alias)
                steps += [
                    models.DeleteAliasOperation(delete_alias=old),
                    models.CreateAliasOperation(create_alias=target),
                ]
        if self._lease is not None:
            self._lease.require()
        # One request: the server applies all of it or nothing.
        self.server.call(
            self.server.client.update_collection_aliases, change_aliases_operations=steps
        )

    def _discard(self, name: str, versions: Versions) -> None:
        """See `VersionedCatalog._discard`; other machines may be working on a draft."""

    def _draft_lock(self, name: str, version: int) -> AbstractContextManager[object]:
        if self.versions(name).live is not None:
            return nullcontext()
        return self._new_lease(name, version)

    def _new_lease(self, name: str, version: int) -> Lease:
        return Lease(self.server, _collection_name(name, version), name)

    def _collection(self, name: str, version: int, store: ServerStore) -> Collection:
        return Collection(name, store, lambda: self.versions(name).live in (version, None))


def _collection_name(name: str, version: int) -> str:
    return f"{name}@{version}"


def _number(collection: str, name: str) -> int | None:
    """The number of the version that a collection of the server is; ``None`` where it is none."""
    match = _VERSION.fullmatch(collection)
    return int(match["version"]) if match and match["name"] == name else None
