"""What is new, changed and unchanged: files on one side, the collection's records on the other.

A document is known by its *source*: its path relative to the folder it was ingested from. The rules
keep one document one document, however a person names its path:

- a file that is in the index keeps its source, whichever path leads to it;
- a new file below a folder that was ingested before counts from that folder;
- a source whose file is gone from where it was is taken over by the file that is there now, so a
  folder that moved, or lies elsewhere on another machine, is not ingested twice;
- a source that another, living file has gets the name of its own folder in front.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ingest.discover import FoundFile, content_hash
from retrieval.errors import DocumentError
from retrieval.types import DocumentRecord

Action = Literal["add", "change", "move", "keep", "fail"]


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """What is to be done with a file.

    Attributes
    ----------
    action
        ``move``: the content is the same, only the folder that the source counts from is another.
    record
        What the collection knows of this source already.
    error
        Why it cannot be ingested; its hash is empty then.
    """

    path: Path
    root: Path
    source: str
    content_hash: str
    size: int
    action: Action
    record: DocumentRecord | None = None
    error: DocumentError | None = None


def plan(
    files: Sequence[FoundFile], records: Iterable[DocumentRecord], max_bytes: int
) -> list[PlannedFile]:
    """Compare files with records by content, never by time."""
    known = {record.source: record for record in records}
    located = {Path(r.root, r.source): r.source for r in known.values()}
    roots = {Path(record.root) for record in known.values()}
    taken: dict[str, Path] = {}
    planned = []
    for file in files:
        source, root = _source_of(file, known, located, roots, taken)
        taken[source] = file.path
        planned.append(_planned(file, source, root, known.get(source), max_bytes))
    return planned


def _source_of(
    file: FoundFile,
    known: dict[str, DocumentRecord],
    located: dict[Path, str],
    roots: set[Path],
    taken: dict[str, Path],
) -> tuple[str, Path]:
    if file.path in located:
        source = located[file.path]
        return source, Path(known[source].root)
    containing = [root for root in roots if file.path.is_relative_to(root)]
    root = max(containing, key=lambda root: len(root.parts), default=file.root)
    while True:
        source = file.path.relative_to(root).as_posix()
        if source not in taken and not _lives(known.get(source)):
            return source, root
        if root.parent == root:
            return source, root
        root = root.parent


def _lives(record: DocumentRecord | None) -> bool:
    """Whether another file still stands where the record says."""
    return record is not None and Path(record.root, record.source).exists()


def _planned(
    file: FoundFile, source: str, root: Path, record: DocumentRecord | None, max_bytes: int
) -> PlannedFile:
    try:
        source.encode("utf-8")
    except UnicodeEncodeError:
        shown = source.encode("utf-8", "backslashreplace").decode()
        error = DocumentError("its name is not UTF-8: rename it", "name")
        return PlannedFile(file.path, root, shown, "", 0, "fail", record, error)
    try:
        digest, size = content_hash(file.path, max_bytes)
    except DocumentError as error:
        return PlannedFile(file.path, root, source, "", 0, "fail", record, error)
    action: Action = "add"
    if record is not None and record.content_hash != digest:
        action = "change"
    elif record is not None:
        action = "keep" if record.root == os.fspath(root) else "move"
    return PlannedFile(file.path, root, source, digest, size, action, record)
