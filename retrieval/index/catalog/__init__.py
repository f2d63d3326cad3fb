"""The collections at one location, opened and created by name; each in versions, one of them live.

A version is complete before it is published, and publishing is one atomic step: a pointer file is
replaced (`local`), or an alias is set (`server`).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.ledger import Entries
from twotower.retrieval.index.store.protocol import StoreOptions
from twotower.retrieval.vocabulary.errors import (
    ConfigurationError,
    IndexMismatch,
    InUse,
    ServiceError,
    TwoTowerError,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of a collection.

    Attributes
    ----------
    live
        Version that searches use; ``None`` where none was ever complete.
    previous
        Version that was live before, kept for `Catalog.rollback`.
    others
        Drafts, and versions that earlier re-indexing left behind.
    """

    live: int | None = None
    previous: int | None = None
    others: tuple[int, ...] = ()

    @property
    def drafts(self) -> tuple[int, ...]:
        """Versions that were begun and never live: newer than all that were live."""
        newest = max(self.live or 0, self.previous or 0)
        return tuple(number for number in self.others if number > newest)

    @property
    def following(self) -> int:
        """A number that no version has."""
        return max((self.live or 0, self.previous or 0, *self.others)) + 1

    def published(self, version: int) -> "Versions":
        """The versions after another one is published."""
        rest = {*self.others, self.previous, self.live} - {version, self.live, None}
        return Versions(version, self.live, tuple(sorted(n for n in rest if n is not None)))


@dataclass(frozen=True, slots=True)
class Draft:
    """An unpublished version that only this process has open; see `Catalog.draft`.

    Attributes
    ----------
    resumed
        True if an earlier run began it, so that part of the work is done.
    """

    collection: Collection
    version: int
    resumed: bool


class Catalog(ABC):
    """The collections at one location.

    Attributes
    ----------
    location
        A data directory or the URL of a server, for messages.
    options
        Layout of new versions.
    """

    location: str
    options: StoreOptions

    @abstractmethod
    def names(self) -> list[str]:
        """List the collections, by name.

        Raises
        ------
        ServiceError
            If the location cannot be read.
        """

    @abstractmethod
    def versions(self, name: str) -> Versions:
        """List a collection's versions."""

    @abstractmethod
    def open_version(self, name: str, version: int, *, short_lived: bool, wait: bool) -> Collection:
        """Open one version; see `open`."""

    @abstractmethod
    def create(self, name: str, card: IndexCard) -> Collection:
        """Create an empty collection, live at once; it replaces an interrupted creation.

        Raises
        ------
        ServiceError
            If the collection exists.
        ConfigurationError
            If something of this name exists that twotower did not create.
        """

    @abstractmethod
    def draft(self, name: str, card: IndexCard) -> AbstractContextManager[Draft]:
        """Open a draft that no other process has open: a new one, or one begun with this card.

        Raises
        ------
        InUse
            If another process works on a draft.
        """

    @abstractmethod
    def publish(self, name: str, version: int) -> None:
        """Make a version live, in one step; the version that was live becomes the previous one."""

    @abstractmethod
    def version_lock(self, name: str) -> AbstractContextManager[None]:
        """Keep other processes from making, publishing or removing versions of a collection.

        Raises
        ------
        InUse
            If another process does so now.
        """

    @abstractmethod
    def remove_version(self, name: str, version: int) -> None:
        """Remove one version for good.

        Raises
        ------
        InUse
            If another process has it open.
        """

    @abstractmethod
    def ingestion_lock(self, name: str) -> AbstractContextManager[None]:
        """Keep a second ingestion into the same collection out, where two would conflict.

        Raises
        ------
        ServiceError
            If one is running, or the location cannot be written to.
        """

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Bytes that a collection takes, with all its versions; ``None`` where unknown."""

    @abstractmethod
    def probe(self) -> str:
        """Make sure that the engine or server works; return a sentence about it.

        Raises
        ------
        ServiceError
            If it does not work.
        """

    def recover(self, name: str) -> None:  # noqa: B027 - a server keeps its own pointers
        """Write the pointer to the live version again, if it cannot be read."""

    def ledger_entries(self, name: str, version: int) -> Entries:
        """Read the ledger of a version, without opening it; empty where there is none."""
        del name, version
        return Entries()

    def close(self) -> None:  # noqa: B027 - a folder has nothing to close
        """Close the connection."""

    def exists(self, name: str) -> bool:
        """Whether there is a collection of this name.

        Raises
        ------
        ConfigurationError
            If the name is not allowed.
        """
        check_name(name)
        return self.versions(name).live is not None

    def open(self, name: str, *, short_lived: bool = False, wait: bool = False) -> Collection:
        """Open the live version of a collection.

        Parameters
        ----------
        short_lived
            True if this process closes it in a moment, so that other processes wait for it.
        wait
            True to wait for a process that has it open, however long that takes.

        Raises
        ------
        ConfigurationError
            If it does not exist; the message names the collections that do.
        ServiceError
            If another process has it open, or it is damaged.
        """
        check_name(name)
        live = self.versions(name).live
        while live is not None:
            collection = self.open_version(name, live, short_lived=short_lived, wait=wait)
            now = self.versions(name).live
            if now == live:
                return collection
            collection.close()  # another version was published during the wait
            live = now
        raise self._unknown(name)

    def rollback(self, name: str) -> Versions:
        """Make the previous version live again; another rollback goes back to this one.

        Raises
        ------
        ConfigurationError
            If there is none.
        """
        if self.versions(name).live is None:
            raise self._unknown(name)
        with self.version_lock(name):
            versions = self.versions(name)
            if versions.previous is None:
                raise ConfigurationError(
                    f"collection '{name}' has no previous version: it was never re-indexed, or "
                    "`twotower gc` has removed the previous version"
                )
            self.open_version(name, versions.previous, short_lived=True, wait=False).close()
            self.publish(name, versions.previous)
            return self.versions(name)

    def remove_old_versions(self, name: str) -> int:
        """Remove every version but the live one, and return their number."""
        with self.version_lock(name):
            # Nothing is removed while the live version is damaged.
            self.open(name, short_lived=True).close()
            versions = self.versions(name)
            old = [*versions.others, *([versions.previous] if versions.previous else [])]
            for version in old:
                self.remove_version(name, version)
            return len(old)

    def with_layout(self, card: IndexCard) -> IndexCard:
        """Write the layout of new versions at this location on a card."""
        options = self.options
        return replace(card, quantization=options.quantization, on_disk=options.on_disk)

    def _unknown(self, name: str) -> TwoTowerError:
        others = ", ".join(self.names()) or "none yet"
        return ConfigurationError(
            f"collection '{name}' does not exist in {self.location} (there are: {others}): run "
            "`twotower ingest PATH` first, or choose another collection"
        )


class VersionedCatalog(Catalog):
    """The steps that create and publish versions, over what differs between locations."""

    @abstractmethod
    def _create_version(
        self, name: str, version: int, card: IndexCard, *, short_lived: bool
    ) -> Collection:
        """Create an empty version with its card; ``short_lived`` as in `open`."""

    @abstractmethod
    def _point(self, name: str, versions: Versions) -> None:
        """Write down which versions are live and previous, in one atomic step."""

    @abstractmethod
    def _discard(self, name: str, versions: Versions) -> None:
        """Remove unfinished and old versions, where no other process can be working on one."""

    def _draft_lock(self, name: str, version: int) -> AbstractContextManager[object]:
        """Lock a draft, where `version_lock` cannot lock a collection that has no live version."""
        del name, version
        return nullcontext()

    def create(self, name: str, card: IndexCard) -> Collection:
        """See `Catalog.create`."""
        check_name(name)
        versions = self.versions(name)
        if versions.live is not None:
            raise ServiceError(f"another process has created the collection '{name}': run again")
        self._discard(name, versions)
        version = self.versions(name).following
        collection = self._create_version(name, version, self.with_layout(card), short_lived=False)
        self.publish(name, version)
        return collection

    @contextmanager
    def draft(self, name: str, card: IndexCard) -> Iterator[Draft]:
        """See `Catalog.draft`."""
        check_name(name)
        with self.version_lock(name):
            draft = self._resume(name, card) or self._begin(name, card)
            with draft.collection, self._draft_lock(name, draft.version):
                yield draft

    def publish(self, name: str, version: int) -> None:
        """See `Catalog.publish`."""
        self._point(name, self.versions(name).published(version))

    def _resume(self, name: str, card: IndexCard) -> Draft | None:
        """Open the newest draft that was begun with this card."""
        wanted = self.with_layout(card)
        for version in reversed(self.versions(name).drafts):
            try:
                collection = self.open_version(name, version, short_lived=True, wait=False)
            except InUse:
                raise
            except ServiceError:  # its creation was interrupted
                continue
            if _is_built_like(collection, wanted):
                return Draft(collection, version, resumed=True)
            collection.close()
        return None

    def _begin(self, name: str, card: IndexCard) -> Draft:
        versions = self.versions(name)
        self._discard(name, versions)
        version = versions.following
        # Whoever opens it next has waited until it was published.
        collection = self._create_version(name, version, self.with_layout(card), short_lived=True)
        return Draft(collection, version, resumed=False)


def _is_built_like(collection: Collection, card: IndexCard) -> bool:
    try:
        return collection.has_card() and collection.card().builds_like(card)
    except (IndexMismatch, ServiceError):  # of another version of twotower, or damaged
        return False


def check_name(name: str) -> None:
    """Refuse a name that a collection cannot have.

    Raises
    ------
    ConfigurationError
        The message says what a name may consist of.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"'{name}' cannot be the name of a collection: use up to 64 letters, digits, '-', '_', "
            "'.', with a letter or digit first"
        )
