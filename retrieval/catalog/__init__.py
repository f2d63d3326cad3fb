"""The collections of one place, opened and created by name; each in versions, one of them live.

A version is complete before it is live, and going live is one atomic step: where a pointer file is
replaced (`local`), or an alias is moved (`server`).
"""

import re
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from retrieval.collection import Collection
from retrieval.errors import ConfigurationError, ServiceError
from retrieval.store.card import IndexCard
from retrieval.store.protocol import StoreOptions

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of a collection.

    Attributes
    ----------
    live
        The one that is opened; ``None`` where none was ever complete.
    previous
        The one that was live before, kept for `Catalog.rollback`.
    others
        Drafts, and what earlier re-indexing left behind.
    """

    live: int | None = None
    previous: int | None = None
    others: tuple[int, ...] = ()

    @property
    def drafts(self) -> tuple[int, ...]:
        """Those that were begun and never live: newer than all that were."""
        newest = max(self.live or 0, self.previous or 0)
        return tuple(number for number in self.others if number > newest)

    @property
    def following(self) -> int:
        """A number that no version has."""
        return max((self.live or 0, self.previous or 0, *self.others)) + 1

    def published(self, version: int) -> "Versions":
        """What there is when another version has gone live."""
        rest = {*self.others, self.previous, self.live} - {version, self.live, None}
        return Versions(version, self.live, tuple(sorted(n for n in rest if n is not None)))


@dataclass(frozen=True, slots=True)
class Draft:
    """A version on its way, held by this process alone; see `Catalog.draft`.

    Attributes
    ----------
    resumed
        Whether an earlier run left it behind, with part of the work done.
    """

    collection: Collection
    version: int
    resumed: bool


class Catalog(ABC):
    """Collections in one place; what makes a name and a version is the same everywhere."""

    place: str
    options: StoreOptions

    @abstractmethod
    def names(self) -> list[str]:
        """List the collections, by name.

        Raises
        ------
        ServiceError
            If the place cannot be read.
        """

    @abstractmethod
    def versions(self, name: str) -> Versions:
        """List a collection's versions."""

    @abstractmethod
    def open_version(self, name: str, version: int, *, brief: bool, patient: bool) -> Collection:
        """Open one version; see `open`."""

    @abstractmethod
    def create(self, name: str, card: IndexCard) -> Collection:
        """Create an empty collection, live at once; what an interrupted creation left is replaced.

        Raises
        ------
        ConfigurationError
            If something of this name is there that this program did not make.
        """

    @abstractmethod
    def draft(self, name: str, card: IndexCard) -> AbstractContextManager[Draft]:
        """Open a version that is not live yet, alone: a new one, or one begun with the same card.

        Raises
        ------
        InUse
            If another process works on one.
        """

    @abstractmethod
    def publish(self, name: str, version: int) -> None:
        """Make a version live, in one step; what was live stays as the previous one."""

    @abstractmethod
    def working(self, name: str) -> AbstractContextManager[None]:
        """Keep others from making, publishing or removing versions of a collection meanwhile.

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
    def reserved(self, name: str) -> AbstractContextManager[None]:
        """Keep a second ingestion into the same collection out, where two would be in the way.

        Raises
        ------
        ServiceError
            If one is running, or the place cannot be written to.
        """

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Bytes that a collection takes, with all its versions; ``None`` where unknown."""

    def close(self) -> None:  # noqa: B027 - a folder has nothing to close
        """Let go of the place."""

    def exists(self, name: str) -> bool:
        """Whether there is a collection of this name.

        Raises
        ------
        ConfigurationError
            If it is no possible name.
        """
        check_name(name)
        return self.versions(name).live is not None

    def open(self, name: str, *, brief: bool = False, patient: bool = False) -> Collection:
        """Open the live version of a collection.

        Parameters
        ----------
        brief
            Whether this process lets go of it in a moment: others wait for it, not fail.
        patient
            Whether to wait for a process that has it open, however long that takes.

        Raises
        ------
        ConfigurationError
            If it does not exist; the message names those that do.
        ServiceError
            If another process has it open, or it is damaged.
        """
        check_name(name)
        live = self.versions(name).live
        while live is not None:
            collection = self.open_version(name, live, brief=brief, patient=patient)
            now = self.versions(name).live
            if now == live:
                return collection
            collection.close()  # another version went live while we waited
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
        with self.working(name):
            versions = self.versions(name)
            if versions.previous is None:
                raise ConfigurationError(
                    f"collection '{name}' has no previous version: none was re-indexed, or "
                    "`twotower gc` has removed it"
                )
            self.open_version(name, versions.previous, brief=True, patient=False).close()
            self.publish(name, versions.previous)
            return self.versions(name)

    def remove_old_versions(self, name: str) -> int:
        """Remove every version but the live one; how many there were."""
        with self.working(name):
            self.open(name, brief=True).close()  # nothing goes while the live one is damaged
            versions = self.versions(name)
            old = [*versions.others, *([versions.previous] if versions.previous else [])]
            for version in old:
                self.remove_version(name, version)
            return len(old)

    @staticmethod
    def was_made(name: str) -> ServiceError:
        """What to say where another process made a collection first."""
        return ServiceError(
            f"collection '{name}' exists by now, another process made it: run again"
        )

    def _unknown(self, name: str) -> ConfigurationError:
        others = ", ".join(self.names()) or "none yet"
        return ConfigurationError(
            f"collection '{name}' does not exist in {self.place} (there are: {others}): run "
            "`twotower ingest PATH` first, or choose another with --collection"
        )

    def laid_out(self, card: IndexCard) -> IndexCard:
        """Write down on a new version's card how it is laid out here."""
        options = self.options
        return replace(card, quantization=options.quantization, on_disk=options.on_disk)


def check_name(name: str) -> None:
    """Refuse what is no name of a collection.

    Raises
    ------
    ConfigurationError
        It says what a name is.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"'{name}' is no collection name: use up to 64 letters, digits, '-', '_', '.'"
        )
