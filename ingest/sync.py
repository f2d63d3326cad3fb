"""Compare files with the records of a collection: which are new, changed, moved or gone.

A document is identified by its *source*: its path relative to the folder it was ingested from.
These rules keep it one document, whichever path the user gives:

- A file that is in the index keeps its source, whichever path leads to it.
- A new file below a folder that was ingested before gets a source relative to that folder.
- If the file of a source no longer exists at its old path, the file that now has this source
  replaces it. So a folder that moved, or has another path on another machine, is not ingested
  twice.
- If another existing file has the same source, the name of the file's own folder is put in front.

Chunk counts show what a killed run left behind. A document with more chunks in the collection than
its record says is ingested again (without embedding anything). Chunks of a source that has no
record, and will not get one in this run, are removed.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from twotower.ingest.discover import Discovery, FoundFile, content_hash
from twotower.retrieval.vocabulary.documents import DocumentRecord
from twotower.retrieval.vocabulary.errors import DocumentError

Action = Literal["add", "change", "rename", "relocate", "keep", "fail"]


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """What a run will do with a file.

    Attributes
    ----------
    action
        ``rename``: the file has the content of a document whose file is gone, under another name.
        ``relocate``: the document is the same and only its record is written again, because its
        source is now relative to another folder, or because a killed run did not finish renaming
        it.
    stored
        Number of chunks of this source in the collection, committed or not.
    record
        Record of this source in the collection.
    twin
        A document with the same content, whose vectors are used again.
    error
        Reason why the file cannot be ingested; the hash is empty then.
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
    """What a run will do.

    Attributes
    ----------
    gone
        Records below the given paths whose files no longer exist; removed only on request.
    leftovers
        Sources that a killed run left half written or half removed; always removed.
    """

    files: tuple[PlannedFile, ...]
    gone: tuple[DocumentRecord, ...] = ()
    leftovers: tuple[str, ...] = ()


@dataclass(slots=True)
class _RecordIndex:
    """The collection's records by source, path, content hash and root folder."""

    by_source: Mapping[str, DocumentRecord]
    by_path: dict[Path, str] = field(init=False)
    by_hash: dict[str, list[DocumentRecord]] = field(init=False)
    roots: set[Path] = field(init=False)

    def __post_init__(self) -> None:
        self.by_path = {Path(r.root, r.source): r.source for r in self.by_source.values()}
        self.roots = {Path(record.root) for record in self.by_source.values()}
        self.by_hash = {}
        for source in sorted(self.by_source):
            record = self.by_source[source]
            self.by_hash.setdefault(record.content_hash, []).append(record)


def plan(
    discovery: Discovery,
    records: Iterable[DocumentRecord],
    chunk_counts: Mapping[str, int],
    max_bytes: int,
) -> Plan:
    """Compare files with records, by content and never by time.

    Parameters
    ----------
    chunk_counts
        Number of chunks of each source in the collection.
    max_bytes
        Maximum size of a file; a larger one fails.
    """
    index = _RecordIndex({record.source: record for record in records})
    files: list[PlannedFile] = []
    taken: set[str] = set()
    for found in discovery.files:
        source, root = _source_of(found, index, taken)
        taken.add(source)
        record = index.by_source.get(source)
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
        for source, record in sorted(index.by_source.items())
        if source not in taken and _within(discovery.scopes, record) and not _file_exists(record)
    ]
    files, gone = _renamed(files, index, missing)
    return Plan(tuple(files), tuple(gone), tuple(_leftovers(index, chunk_counts, files)))


def _source_of(file: FoundFile, index: _RecordIndex, taken: Collection[str]) -> tuple[str, Path]:
    """Return the source of a file and the folder that it is relative to."""
    if file.path in index.by_path:
        source = index.by_path[file.path]
        return source, Path(index.by_source[source].root)
    containing = [root for root in index.roots if file.path.is_relative_to(root)]
    root = max(containing, key=lambda root: len(root.parts), default=file.root)
    while True:
        source = file.path.relative_to(root).as_posix()
        record = index.by_source.get(source)
        if source not in taken and not (record and _file_exists(record)):
            return source, root
        if root.parent == root:
            return source, root
        root = root.parent


def _file_exists(record: DocumentRecord) -> bool:
    """Whether the file of a record exists; a file that we may not access counts as existing."""
    try:
        return Path(record.root, record.source).exists()
    except OSError:
        return True


def _within(scopes: Sequence[Path], record: DocumentRecord) -> bool:
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
        error = DocumentError("the file name is not valid UTF-8: rename the file", "name")
        return PlannedFile(file.path, root, shown, "", 0, "fail", record=record, error=error)
    try:
        digest, size = content_hash(file.path, max_bytes)
    except DocumentError as error:
        return PlannedFile(file.path, root, source, "", 0, "fail", record=record, error=error)
    action: Action = "add"
    if record is not None and record.content_hash != digest:
        action = "change"
    elif record is not None:
        current = record.root == os.fspath(root) and not record.replaces
        action = "keep" if current else "relocate"
    return PlannedFile(file.path, root, source, digest, size, action, record=record)


def _renamed(
    files: Sequence[PlannedFile], index: _RecordIndex, missing: Sequence[DocumentRecord]
) -> tuple[list[PlannedFile], list[DocumentRecord]]:
    """Pair new files with documents of the same content, if possible one whose file is gone."""
    gone = {record.source: record for record in missing}
    paired = []
    for file in files:
        same = index.by_hash.get(file.content_hash, []) if file.action == "add" else []
        old = next((record for record in same if record.source in gone), None)
        if old:
            del gone[old.source]
            paired.append(replace(file, action="rename", twin=old))
        else:
            paired.append(replace(file, twin=same[0] if same else None))
    return paired, list(gone.values())


def _leftovers(
    index: _RecordIndex, chunk_counts: Mapping[str, int], files: Sequence[PlannedFile]
) -> list[str]:
    """List sources with chunks but without a record, and sources that a killed rename left.

    Sources that this run will write are not leftovers.
    """
    written = {file.source for file in files if file.action in ("add", "change", "rename")}
    orphans = {source for source in chunk_counts if source not in index.by_source} - written
    replaced = {
        record.replaces
        for record in index.by_source.values()
        if record.replaces in index.by_source and not _file_exists(index.by_source[record.replaces])
    }
    return sorted(orphans | (replaced - written))
