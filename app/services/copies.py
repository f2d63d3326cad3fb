"""Copies of a collection: migrate it to another location, back it up, restore it.

Each builds a draft that nobody searches, synchronises it with its source, checks it, and publishes
it in one step. `index.replicate` says why it can be killed at any point and run again.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from twotower.app.wiring import Application
from twotower.retrieval.index.backup import Backup
from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.index.catalog import Catalog, Draft, check_name
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.replicate import (
    OpenSource,
    Replica,
    Source,
    check_searches,
    checksum,
    difference,
)
from twotower.retrieval.vocabulary.errors import ConfigurationError, ServiceError

Progress = Callable[[int, int], None]  # chunks done, chunks in all
ShouldStop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Built:
    """The result of building or copying a version.

    Attributes
    ----------
    name
        Name of the collection.
    version
        The version that is live now; 0 for a backup.
    documents, chunks
        Numbers of documents and chunks in it.
    encoded
        Number of chunks that were encoded in this run.
    resumed
        True where an earlier run had done part of the work.
    finished
        False where the work was stopped; the same call continues it.
    forgotten_map
        Version of the question map that the old encoder had and the new one has not.
    """

    name: str
    version: int
    documents: int
    chunks: int
    encoded: int
    resumed: bool
    finished: bool = True
    forgotten_map: int | None = None

    @classmethod
    def of(cls, draft: Draft, replica: Replica, finished: bool) -> "Built":
        """Describe a draft and the work that was done for it."""
        collection = draft.collection
        documents, chunks = collection.count("document"), collection.count("chunk")
        return cls(
            collection.name,
            draft.version,
            documents,
            chunks,
            replica.encoded,
            draft.resumed,
            finished,
        )


def migrate(
    application: Application,
    name: str,
    location: str,
    new_name: str,
    progress: Progress,
    should_stop: ShouldStop = lambda: False,
) -> Built:
    """Copy a collection to another location, vectors included; the original stays.

    Raises
    ------
    ConfigurationError
        If another collection has the name there.
    ServiceError
        If the copy is not equal to its source.
    """
    source, target = application.catalog, application.catalog_at(location)
    check_name(new_name)
    if target.location == source.location and new_name == name:
        raise ConfigurationError(
            f"the collection '{name}' is in {location} already: choose another location or name"
        )
    if Path(source.location) in Path(target.location).parents:
        raise ConfigurationError(
            f"{location} is inside {source.location}, where the collection is: choose a folder "
            "outside it"
        )
    with contextlib.closing(target):

        def opens() -> AbstractContextManager[Collection]:
            return source.open(name, short_lived=True, wait=True)

        with opens() as live:
            card = live.card()
            if target.exists(new_name):
                return _already_there(live, target, new_name)
        return copy(opens, target, new_name, card, progress, should_stop)


def _already_there(live: Collection, target: Catalog, name: str) -> Built:
    version = target.versions(name).live
    with target.open(name, short_lived=True) as other:
        same = other.card().builds_like(live.card()) and checksum(other) == checksum(live)
        if not same or difference(live, other):
            raise ConfigurationError(
                f"another collection has the name '{name}' in {target.location}: choose another "
                "name"
            )
        return Built(name, version or 0, other.count("document"), other.count("chunk"), 0, True)


def backup(application: Application, name: str, file: Path, progress: Progress) -> Built:
    """Write a collection to a file, which gets its name when it is complete.

    Raises
    ------
    ConfigurationError
        If the file exists.
    ServiceError
        If it cannot be written.
    """
    with application.catalog.open(name) as live:
        try:
            if file.exists():
                raise _exists(file)
            handle, path = tempfile.mkstemp(".part", f".{file.name[:40]}.", file.parent)
            os.close(handle)
        except OSError as error:
            raise ServiceError(
                f"{file} cannot be written: {error.strerror}; choose another location"
            ) from error
        draft = Path(path)
        try:
            with contextlib.closing(Backup(draft, new=live.card())) as to:
                replica = Replica(lambda: contextlib.nullcontext(live), to, progress=progress)
                replica.run()
                to.seal(name)
            _name(draft, file)
        finally:
            draft.unlink(missing_ok=True)
        return Built(name, 0, live.count("document"), replica.copied, 0, resumed=False)


def _name(draft: Path, file: Path) -> None:
    """Give a file its name, unless another file got the name during the work."""
    try:
        os.link(draft, file)
    except FileExistsError as error:
        raise _exists(file) from error
    except OSError:  # a file system without links
        draft.replace(file)


def _exists(file: Path) -> ConfigurationError:
    return ConfigurationError(f"{file} exists: choose another name, or remove the file")


def restore(
    application: Application,
    file: Path,
    name: str | None,
    progress: Progress,
    should_stop: ShouldStop = lambda: False,
) -> Built:
    """Restore a backup as the next version of its collection, or of another one.

    Raises
    ------
    ConfigurationError
        If the file is not a complete backup.
    ServiceError
        If the restored version is not equal to the backup.
    """
    if not os.path.isfile(file):  # noqa: PTH113 - a name that is too long is no file, not an error
        raise ConfigurationError(f"{file} is not a file: name one that `twotower backup` wrote")
    with contextlib.closing(Backup(file)) as saved:

        def opens() -> AbstractContextManager[Backup]:
            return contextlib.nullcontext(saved)

        name = name or saved.collection
        return copy(opens, application.catalog, name, saved.card(), progress, should_stop)


def copy(
    opens: OpenSource,
    target: Catalog,
    name: str,
    card: IndexCard,
    progress: Progress,
    should_stop: ShouldStop,
) -> Built:
    """Copy into the next version of a collection; publish it once it is proven equal."""
    with target.draft(name, card) as draft:
        replica = Replica(opens, draft.collection, progress=progress)
        finished = replica.run(should_stop)
        if finished:
            with opens() as source:
                publish(target, draft, replica, source, target.with_layout(card), exact=True)
        return Built.of(draft, replica, finished)


def publish(
    target: Catalog,
    draft: Draft,
    replica: Replica,
    source: Source,
    card: IndexCard,
    *,
    exact: bool,
) -> None:
    """Bring a draft to its source's last state, check it, and make it live.

    Parameters
    ----------
    source
        Held open, so that nothing is written to it after the last comparison.
    card
        The card that the version goes live with.
    exact
        True to compare every payload by a checksum, beside records and counts.

    Raises
    ------
    ServiceError
        If the draft is not found by its own vectors, or is not equal to its source.
    """
    copied = draft.collection
    check_searches(copied)
    replica.synchronise(source)
    if missing := difference(source, copied):
        raise _incomplete(copied, f"{len(missing.changed)} documents are missing")
    if exact and checksum(source) != checksum(copied):
        raise _incomplete(copied, "its checksum differs")
    copied.write_card(card)
    target.publish(copied.name, draft.version)


def _incomplete(collection: Collection, problem: str) -> ServiceError:
    return ServiceError(
        f"the new version of '{collection.name}' is not equal to its source ({problem}), so it was "
        "not published: run again"
    )
