"""What is new, changed, moved, gone: files on one side, the collection's records on the other.

A document is known by its *source*: its path relative to the folder it was ingested from. The rules
keep one document one document, however a person names its path:

- a file that is in the index keeps its source, whichever path leads to it;
- a new file below a folder that was ingested before counts from that folder;
- a source whose file is gone from where it was is taken over by the file that is there now, so a
  folder that moved, or lies elsewhere on another machine, is not ingested twice;
- a source that another, living file has gets the name of its own folder in front.

What a killed run left behind shows in counts: a document with more chunks in the collection than
its record tells is ingested again (nothing is embedded for it), and chunks of a source that has no
record, and is not about to get one, are removed.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ingest.discover import Discovery, FoundFile, content_hash
from retrieval.errors import DocumentError
from retrieval.types import DocumentRecord

Action = Literal["add", "change", "rename", "relocate", "keep", "fail"]


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """What is to be done with a file.

    Attributes
    ----------
    action
        ``rename``: the content of a document whose file is gone, under another name;
        ``relocate``: the same document, only its record is written anew: the folder that its
        source counts from is another, or a killed run did not finish renaming it.
    stored
        How many chunks the collection has of this source, committed or not.
    record
        What the collection knows of this source already.
    twin
        A document with the same content: vectors are taken from its chunks.
    error
        Why it cannot be ingested; its hash is empty then.
    """

    path: Path
    root: Path
    source: str
    content_hash: str
    size: int
    action: Action
    stored: int = 0
    record: DocumentRecord | None = None
    twin: DocumentRecord | None = None
    error: DocumentError | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run has to do.

    Attributes
    ----------
    gone
        Records below the given paths whose files are no more; removed only on request.
    leftovers
        Sources that a killed run left behind half written or half removed; always removed.
    """

    files: tuple[PlannedFile, ...]
    gone: tuple[DocumentRecord, ...] = ()
    leftovers: tuple[str, ...] = ()


@dataclass(slots=True)
class _Known:
    """The collection's records, by what they are looked up with."""

    records: Mapping[str, DocumentRecord]
    by_path: dict[Path, str] = field(init=False)
    by_hash: dict[str, list[DocumentRecord]] = field(init=False)
    roots: set[Path] = field(init=False)

    def __post_init__(self) -> None:
        self.by_path = {Path(r.root, r.source): r.source for r in self.records.values()}
        self.roots = {Path(record.root) for record in self.records.values()}
        self.by_hash = {}
        for source in sorted(self.records):
            record = self.records[source]
            self.by_hash.setdefault(record.content_hash, []).append(record)


def plan(
    discovery: Discovery,
    records: Iterable[DocumentRecord],
    chunk_counts: Mapping[str, int],
    max_bytes: int,
) -> Plan:
    """Compare files with records by content, never by time.

    Parameters
    ----------
    chunk_counts
        How many chunks the collection holds of each source.
    max_bytes
        A larger file fails.
    """
    known = _Known({record.source: record for record in records})
    files: list[PlannedFile] = []
    taken: dict[str, Path] = {}
    for found in discovery.files:
        source, root = _source_of(found, known, taken)
        taken[source] = found.path
        record = known.records.get(source)
        file = _planned(found, source, root, record, max_bytes)
        if (
            file.action in ("keep", "relocate")
            and record
            and chunk_counts.get(source, 0) != record.chunks
        ):
            file = replace(file, action="change")
        files.append(replace(file, stored=chunk_counts.get(source, 0)))
    missing = [
        record
        for source, record in sorted(known.records.items())
        if source not in taken and _in(discovery.scopes, record) and not _lives(record)
    ]
    files, gone = _renamed(files, known, missing)
    return Plan(tuple(files), tuple(gone), tuple(_leftovers(known, chunk_counts, files)))


def _source_of(file: FoundFile, known: _Known, taken: Mapping[str, Path]) -> tuple[str, Path]:
    if file.path in known.by_path:
        source = known.by_path[file.path]
        return source, Path(known.records[source].root)
    containing = [root for root in known.roots if file.path.is_relative_to(root)]
    root = max(containing, key=lambda root: len(root.parts), default=file.root)
    while True:
        source = file.path.relative_to(root).as_posix()
        record = known.records.get(source)
        if source not in taken and not (record and _lives(record)):
            return source, root
        if root.parent == root:
            return source, root
        root = root.parent


def _lives(record: DocumentRecord) -> bool:
    """Whether a file still stands where the record says; one that we may not see does."""
    try:
        return Path(record.root, record.source).exists()
    except OSError:
        return True


def _in(scopes: Sequence[Path], record: DocumentRecord) -> bool:
    path = Path(record.root, record.source)
    return any(path.is_relative_to(scope) for scope in scopes)


def _planned(
    file: FoundFile, source: str, root: Path, record: DocumentRecord | None, max_bytes: int
) -> PlannedFile:
    failed = PlannedFile(file.path, root, source, "", 0, "fail", record=record, error=file.error)
    if file.error is not None:
        return failed
    try:
        source.encode("utf-8")
    except UnicodeEncodeError:
        shown = source.encode("utf-8", "backslashreplace").decode()
        error = DocumentError("its name is not UTF-8: rename it", "name")
        return PlannedFile(file.path, root, shown, "", 0, "fail", record=record, error=error)
    try:
        digest, size = content_hash(file.path, max_bytes)
    except DocumentError as error:
        return PlannedFile(file.path, root, source, "", 0, "fail", record=record, error=error)
    action: Action = "add"
    if record is not None and record.content_hash != digest:
        action = "change"
    elif record is not None:
        settled = record.root == os.fspath(root) and not record.replaces
        action = "keep" if settled else "relocate"
    return PlannedFile(file.path, root, source, digest, size, action, record=record)


def _renamed(
    files: Sequence[PlannedFile], known: _Known, missing: Sequence[DocumentRecord]
) -> tuple[list[PlannedFile], list[DocumentRecord]]:
    """Pair new files with documents of the same content, first with those whose files are gone."""
    gone = {record.source: record for record in missing}
    paired = []
    for file in files:
        same = known.by_hash.get(file.content_hash, []) if file.action == "add" else []
        lost = next((record for record in same if record.source in gone), None)
        if lost:
            del gone[lost.source]
            paired.append(replace(file, action="rename", twin=lost))
        else:
            paired.append(replace(file, twin=same[0] if same else None))
    return paired, list(gone.values())


def _leftovers(
    known: _Known, chunk_counts: Mapping[str, int], files: Sequence[PlannedFile]
) -> list[str]:
    """Chunks without a record that no planned file will give one, and names a rename left."""
    coming = {file.source for file in files if file.action in ("add", "change", "rename")}
    orphans = {source for source in chunk_counts if source not in known.records} - coming
    replaced = {
        record.replaces
        for record in known.records.values()
        if record.replaces in known.records and not _lives(known.records[record.replaces])
    }
    return sorted(orphans | (replaced - coming))
