"""The documents of a collection: list them with their state, read them, delete them."""

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twotower.app.services.failures import Failure, Failures
from twotower.app.services.uploads import Uploads
from twotower.app.wiring import Application
from twotower.retrieval.vocabulary.documents import Chunk, DocumentRecord
from twotower.retrieval.vocabulary.errors import ConfigurationError

DocumentState = Literal["ready", "changed", "gone", "failed"]


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document, or a file that could not be read, in the list.

    Attributes
    ----------
    state
        ``changed`` where the size of the file differs from its record, ``gone`` where the file does
        not exist any more, ``failed`` where it could not be read. The first two are hints: only
        ingestion compares content.
    path
        Path of the file at the last ingestion.
    reason
        Reason of the failure, or the parts of the document that were not read.
    """

    source: str
    title: str
    state: DocumentState
    chunks: int
    pages: int | None
    size: int
    at: str
    path: str
    reason: str = ""


class Documents:
    """The documents of the collections of one application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def records(self, name: str) -> list[DocumentRecord]:
        """List the documents of a collection, by source."""
        with self._application.catalog.open(name, short_lived=True) as collection:
            return sorted(collection.documents(), key=lambda record: record.source)

    def rows(self, name: str) -> list[DocumentRow]:
        """List the documents and the failed files of a collection, by source.

        A collection that does not exist yet may have failed files.
        """
        records = self.records(name) if self._application.catalog.exists(name) else []
        rows = {record.source: _row(record) for record in records}
        for failure in self._failures(name).read().values():
            known = rows.get(failure.source)
            if known and known.path != failure.path:  # another file of the same name
                rows[failure.path] = _failed_row(failure, failure.path, None)
            else:
                rows[failure.source] = _failed_row(failure, failure.source, known)
        return sorted(rows.values(), key=lambda row: row.source)

    def show(self, name: str, source: str) -> tuple[DocumentRecord, list[Chunk]]:
        """Read a document and its chunks.

        Raises
        ------
        ConfigurationError
            If the collection has no such document; the message proposes the nearest name.
        """
        with self._application.catalog.open(name, short_lived=True) as collection:
            record = collection.document(source)
            if record is None:
                raise _unknown(name, source, collection.documents())
            return record, collection.chunks_of(source)

    def file(self, name: str, source: str) -> Path | None:
        """Find the file of a document; ``None`` where it is not on this machine."""
        with self._application.catalog.open(name, short_lived=True) as collection:
            record = collection.document(source)
        path = _path(record) if record else None
        return path if path is not None and path.is_file() else None

    def delete(self, name: str, sources: Sequence[str]) -> int:
        """Delete documents and failed files from the list, and their files if they were uploaded.

        Other files stay: the next ingestion of their folder brings them back. Nothing is deleted
        if a name is unknown.

        Parameters
        ----------
        sources
            Names as `rows` lists them.

        Returns
        -------
        int
            Number of chunks that were deleted.

        Raises
        ------
        ConfigurationError
            If a name is unknown; the message proposes the nearest one.
        """
        failures, uploads = self._failures(name), self.uploads(name)
        failed = failures.read()
        if not self._application.catalog.exists(name) and failed:
            keys = [_key(name, source, None, failed, ()) for source in sources]
            chunks = 0
        else:
            with self._application.catalog.open(name, short_lived=True) as collection:
                keys = [
                    _key(name, s, collection.document(s), failed, collection.documents())
                    for s in sources
                ]
                chunks = sum(collection.remove_document(source) for source in sources)
        for key in keys:
            failures.forget(key)
            if Path(key).is_absolute():
                uploads.remove(Path(key))
        return chunks

    def uploads(self, name: str) -> Uploads:
        """Return the uploaded files of a collection."""
        return Uploads(self._application.settings.data_dir, name)

    def _failures(self, name: str) -> Failures:
        return Failures(self._application.settings.data_dir, name)


def _path(record: DocumentRecord) -> Path:
    return Path(record.root, record.source)


def _row(record: DocumentRecord) -> DocumentRow:
    path = _path(record)
    state: DocumentState = "ready"
    try:
        if path.stat().st_size != record.size:
            state = "changed"
    except OSError:
        state = "gone"
    return DocumentRow(
        record.source,
        record.title,
        state,
        record.chunks,
        record.pages,
        record.size,
        record.ingested_at,
        os.fspath(path),
        "; ".join(record.warnings),
    )


def _failed_row(failure: Failure, source: str, known: DocumentRow | None) -> DocumentRow:
    return DocumentRow(
        source,
        known.title if known else "",
        "failed",
        known.chunks if known else 0,
        known.pages if known else None,
        known.size if known else 0,
        failure.at,
        failure.path,
        failure.reason,
    )


def _key(
    name: str,
    source: str,
    record: DocumentRecord | None,
    failed: Mapping[str, Failure],
    records: Iterable[DocumentRecord],
) -> str:
    """Return the path of a document's file, or the key of the failure that has this name."""
    if record is not None:
        return os.fspath(_path(record))
    for key, failure in failed.items():
        if source in (key, failure.source):
            return key
    raise _unknown(name, source, records)


def _unknown(name: str, source: str, records: Iterable[DocumentRecord]) -> ConfigurationError:
    near = difflib.get_close_matches(source, (record.source for record in records), n=1)
    hint = f"did you mean '{near[0]}'?" if near else "`twotower list` prints the names"
    return ConfigurationError(f"no document '{source}' in '{name}': {hint}")
