"""The ledger of an embedded version: a log of its card and documents, outside the engine's files.

The engine checks few of its files: a damaged one may hide points without any error. The ledger says
which documents a version must have, and has what is needed to build it again from the files. Each
line is a JSON value behind its CRC-32. A document is added after its commit and removed before its
removal, so that a killed process never leaves a line for a document that is not there.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twotower.retrieval.index.payload import document_from_payload, document_payload
from twotower.retrieval.vocabulary.documents import DocumentRecord
from twotower.retrieval.vocabulary.errors import ServiceError

_NAME = "documents.log"


@dataclass(frozen=True, slots=True)
class Entries:
    """The content of a ledger.

    Attributes
    ----------
    card
        Payload of the card; ``None`` where the ledger has none.
    documents
        Records by source.
    damaged
        Number of lines that cannot be read.
    """

    card: Mapping[str, Any] | None = None
    documents: Mapping[str, DocumentRecord] = field(default_factory=dict)
    damaged: int = 0


class Ledger:
    """The ledger in the folder of a version."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _NAME

    @property
    def exists(self) -> bool:
        """Whether there is a ledger; collections of older versions of twotower have none."""
        return self._file.is_file()

    def write(self, card: Mapping[str, Any], documents: Iterable[DocumentRecord]) -> None:
        """Write the whole ledger, in place of what there was."""
        draft = self._file.with_suffix(".new")
        lines = [_line({"card": dict(card)}), *map(_document_line, documents)]
        try:
            draft.write_bytes(b"".join(lines))
            draft.replace(self._file)
        except OSError as error:
            raise self._unwritable(error) from error

    def add_card(self, card: Mapping[str, Any]) -> None:
        """Add the card; a later one replaces it."""
        self._append(_line({"card": dict(card)}))

    def add(self, record: DocumentRecord) -> None:
        """Add a document that was committed; a later record of its source replaces it."""
        self._append(_document_line(record))

    def remove(self, source: str) -> None:
        """Remove a document that is about to be removed."""
        self._append(_line({"removed": source}))

    def read(self) -> Entries:
        """Read the ledger; a missing one is empty."""
        card: Mapping[str, Any] | None = None
        documents: dict[str, DocumentRecord] = {}
        damaged = 0
        for entry in self._entries():
            if entry is None:
                damaged += 1
            elif "card" in entry:
                card = entry["card"]
            elif "removed" in entry:
                documents.pop(entry["removed"], None)
            else:
                record = document_from_payload(entry["document"])
                documents[record.source] = record
        return Entries(card, documents, damaged)

    def _entries(self) -> Iterator[dict[str, Any] | None]:
        try:
            content = self._file.read_bytes()
        except OSError:
            return
        for line in content.split(b"\n"):
            if line:
                yield _entry(line)

    def _append(self, line: bytes) -> None:
        try:
            with self._file.open("ab") as file:
                file.write(line)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> ServiceError:
        return ServiceError(f"{self._file} cannot be written: {error.strerror}; free some space")


def _document_line(record: DocumentRecord) -> bytes:
    return _line({"document": document_payload(record)})


def _line(value: Mapping[str, Any]) -> bytes:
    content = json.dumps(value, ensure_ascii=True).encode()
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _entry(line: bytes) -> dict[str, Any] | None:
    """Read one line; ``None`` where its checksum does not fit."""
    checksum, _, content = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(content):
            return None
        entry: dict[str, Any] = json.loads(content)
    except ValueError:
        return None
    return entry
