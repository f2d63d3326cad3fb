"""Zip archives: a check before a parser unpacks one, and the loader of those that hold files."""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.parts import load_part
from twotower.ingest.loaders.text import decode
from twotower.retrieval.vocabulary.errors import DocumentError

_SMALL = 20 * 2**20  # bytes unpacked; below it, the ratio does not matter
_INVALID = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error)
_UNREADABLE = (*_INVALID, RuntimeError, EOFError, zlib.error)
_ENCRYPTED = 0x1  # flags of an entry (PKWARE APPNOTE 6.3, section 4.4.4)
_UTF8_NAME = 0x800
_BOXES = re.compile("[\u2500-\u259f]")
_MOST_MEMBERS = 2000
_MOST_NAMES = 20  # in one warning
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})


def check_archive(path: Path, limits: Limits) -> None:
    """Refuse an archive that unpacks to too much; archives inside it are never opened.

    Python's zipfile reads no more of an entry than its directory entry declares, so the declared
    sizes are what counts.

    Raises
    ------
    DocumentError
        ``archive-bomb``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except _INVALID:
        return  # the loader reports what is wrong with the file
    ratio = unpacked / max(path.stat().st_size, 1)
    if unpacked > limits.max_expanded_mb * 2**20:
        raise DocumentError(
            f"the file unpacks to {unpacked / 2**20:.0f} MB; the limit is "
            f"{limits.max_expanded_mb} MB (TWOTOWER_MAX_EXPANDED_MB)",
            "archive-bomb",
        )
    if unpacked > _SMALL and ratio > limits.max_expansion:
        raise DocumentError(
            f"the file unpacks to {ratio:.0f} times its size; the limit is "
            f"{limits.max_expansion} times (TWOTOWER_MAX_EXPANSION)",
            "archive-bomb",
        )


def load_zip(path: Path, limits: Limits) -> ParsedDocument:
    """Read an archive as a folder: each file under its name as a heading.

    Files that no loader reads are named in a note, so that a search finds the archive by them.

    Raises
    ------
    DocumentError
        ``malformed``, or ``encrypted`` if all files are.
    """
    try:
        archive = zipfile.ZipFile(path)
    except _INVALID as error:
        raise DocumentError(
            f"the file is not a valid zip archive ({error})", "malformed"
        ) from error
    elements: list[Element] = []
    warnings: list[str] = []
    unread: dict[str, list[str]] = {}  # names by reason
    with archive:
        members = _members(archive)
        if members and all(entry.flag_bits & _ENCRYPTED for entry in members.values()):
            raise DocumentError(
                "all files in the archive are encrypted: save a copy without a password",
                "encrypted",
            )
        names = list(members)
        if beyond := names[_MOST_MEMBERS:]:
            unread[f"only {_MOST_MEMBERS} files of an archive are read"] = beyond
        for name in names[:_MOST_MEMBERS]:
            try:
                part = _read(archive, name, members[name], limits)
            except DocumentError as error:
                unread.setdefault(str(error), []).append(name)
                continue
            elements += [Element(name, "heading", 1), *part.elements]
            warnings += (f"{name}: {warning}" for warning in part.warnings)
    warnings += (f"{_list(names)}: {reason}" for reason, names in unread.items())
    if unread:
        lines = (name for names in unread.values() for name in names)
        elements.append(Element("\n".join(lines), "note"))
    return ParsedDocument(path.stem, tuple(elements), warnings=tuple(warnings))


def _read(
    archive: zipfile.ZipFile, name: str, entry: zipfile.ZipInfo, limits: Limits
) -> ParsedDocument:
    if entry.flag_bits & _ENCRYPTED:
        raise DocumentError("the file is encrypted", "encrypted")
    try:
        with archive.open(entry) as content:
            return load_part(name, content, limits)
    except _UNREADABLE as error:
        raise DocumentError(f"the file cannot be unpacked ({error})", "malformed") from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """List the files by name, sorted, without those that a search of a folder leaves out."""
    entries = [entry for entry in archive.infolist() if not entry.filename.endswith("/")]
    named = zip(_names(entries), entries, strict=True)
    return dict(sorted((pair for pair in named if _is_document(pair[0])), key=lambda pair: pair[0]))


def _is_document(name: str) -> bool:
    parts = [part for part in PurePosixPath(name).parts if part != ".."]
    system = not parts or parts[0] == "__MACOSX" or parts[-1].lower() in _SYSTEM_FILES
    return not (system or any(part.startswith((".", "~$")) for part in parts))


def _names(entries: list[zipfile.ZipInfo]) -> Iterator[str]:
    """Yield the names; those not declared as UTF-8 are decoded together, as a text is.

    They are in the encoding of the machine that wrote the archive; zipfile reads them as code page
    437, which is right unless a name contains parts of boxes.
    """
    declared = [entry.filename for entry in entries if not entry.flag_bits & _UTF8_NAME]
    names = "\n".join(declared)
    usual = "" if _BOXES.search(names) else "cp437"
    decoded = (decode(names.encode("cp437", "replace"), usual) or "").split("\n")
    rest = iter(decoded if len(decoded) == len(declared) else declared)
    for entry in entries:
        name = entry.filename if entry.flag_bits & _UTF8_NAME else next(rest)
        yield name.replace("\\", "/")


def _list(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
