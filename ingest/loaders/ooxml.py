"""The packages of Word, PowerPoint and Excel (ISO/IEC 29500), prepared for their parsers."""

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from twotower.retrieval.vocabulary.errors import DocumentError

# What `zipfile` raises on damaged or encrypted entries.
UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # of old Office files and of encrypted new ones
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
# Strict Open XML has other names for the same elements (ISO/IEC 29500-1 and -4, annex A).
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/")
_TRANSITIONAL = rb"http://schemas.openxmlformats.org/\1/2006/"
# Macros and templates differ from documents in the content type of their main part alone.
_VARIANTS = re.compile(
    rb"application/vnd\.(?:ms-(word|powerpoint)\.|openxmlformats-officedocument\."
    rb"(wordprocessingml|presentationml)\.)"
    rb"(?:document\.macroEnabled|template(?:\.macroEnabled(?:Template)?)?|presentation\.macroEnabled"
    rb"|slideshow(?:\.macroEnabled)?)\.main\+xml"
)
_PLAIN = "application/vnd.openxmlformats-officedocument.{}.main+xml"
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\s[^>]*>(?:\s*</(?:\w+:)?Relationship>)?")
_TARGET = re.compile(rb"""\sTarget=["']([^"'#]*)""")
_KINDS = {
    b"word": "wordprocessingml.document",
    b"wordprocessingml": "wordprocessingml.document",
    b"powerpoint": "presentationml.presentation",
    b"presentationml": "presentationml.presentation",
}


@dataclass(frozen=True, slots=True)
class Package:
    """A package as its parser wants it, and what could not be read of it."""

    content: bytes
    warnings: tuple[str, ...] = ()

    def stream(self) -> io.BytesIO:
        """Return the content as a file, at its beginning."""
        return io.BytesIO(self.content)


def package(path: Path) -> Package:
    """Read a package; make it transitional, and take out macros, templates and damage.

    Relations to parts that do not exist are taken out as well: the parsers refuse files with them.

    Raises
    ------
    DocumentError
        ``encrypted`` or ``malformed``.
    """
    content = path.read_bytes()
    if content.startswith(_OLE):
        if _ENCRYPTED in content:
            raise DocumentError(
                "the file is encrypted: save a copy without a password", "encrypted"
            )
        raise DocumentError(
            "the file has the format of Office 97 under a newer suffix: rename it", "malformed"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            changed, damaged = _changed(archive)
            if changed or damaged:
                content = _rewritten(archive, changed, damaged)
    except UNREADABLE as error:
        raise DocumentError(f"the file is not a valid package ({error})", "malformed") from error
    return Package(content, tuple(f"{name}: not read ({why})" for name, why in damaged.items()))


def _changed(archive: zipfile.ZipFile) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the parts to change by name, and the reasons why others cannot be read."""
    changed = {}
    damaged = {}
    names = {name.casefold() for name in archive.namelist()}
    for name in archive.namelist():
        try:
            part = archive.read(name)
        except UNREADABLE as error:
            damaged[name] = str(error)
            names.discard(name.casefold())
    for name in archive.namelist():
        if name in damaged or not name.endswith((".xml", ".rels")):
            continue
        part = archive.read(name)
        plain = _plain(part)
        if name.endswith(".rels"):
            plain = _without_dangling(name, plain, names)
        if plain != part:
            changed[name] = plain
    return changed, damaged


def _rewritten(
    archive: zipfile.ZipFile, changed: Mapping[str, bytes], damaged: Container[str]
) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as copy:
        for entry in archive.infolist():
            if entry.filename not in damaged:
                part = changed.get(entry.filename)
                copy.writestr(entry.filename, archive.read(entry) if part is None else part)
    return written.getvalue()


def _without_dangling(name: str, rels: bytes, names: Container[str]) -> bytes:
    folder = name.rpartition("_rels/")[0]

    def kept(relation: "re.Match[bytes]") -> bytes:
        target = _TARGET.search(relation[0])
        if target is None or b'"External"' in relation[0]:
            return relation[0]
        path = posixpath.normpath(posixpath.join("/", folder, unquote(target[1].decode())))
        return relation[0] if path.lstrip("/").casefold() in names else b""

    return _RELATION.sub(kept, rels)


def _plain(part: bytes) -> bytes:
    part = _STRICT.sub(_TRANSITIONAL, part) if b"purl.oclc.org" in part else part
    if b".main+xml" not in part:
        return part
    return _VARIANTS.sub(lambda m: _PLAIN.format(_KINDS[m[1] or m[2]]).encode(), part)
