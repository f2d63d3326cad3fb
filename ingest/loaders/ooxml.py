"""The packages of Word, PowerPoint and Excel (ISO/IEC 29500), prepared for their parsers."""

import io
import re
import zipfile
from pathlib import Path

from twotower.retrieval.vocabulary.errors import DocumentError

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
_KINDS = {
    b"word": "wordprocessingml.document",
    b"wordprocessingml": "wordprocessingml.document",
    b"powerpoint": "presentationml.presentation",
    b"presentationml": "presentationml.presentation",
}


def package(path: Path) -> io.BytesIO:
    """Return a package as its parser wants it: transitional, and without macros or templates.

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
            changed = {}
            for name in archive.namelist():
                part = archive.read(name) if name.endswith((".xml", ".rels")) else b""
                if (plain := _plain(part)) != part:
                    changed[name] = plain
            if not changed:
                return io.BytesIO(content)
            written = io.BytesIO()
            with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as copy:
                for entry in archive.infolist():
                    part = changed.get(entry.filename, b"")
                    copy.writestr(entry.filename, part or archive.read(entry))
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise DocumentError(f"the file is not a valid package ({error})", "malformed") from error
    written.seek(0)
    return written


def _plain(part: bytes) -> bytes:
    part = _STRICT.sub(_TRANSITIONAL, part) if b"purl.oclc.org" in part else part
    if b".main+xml" not in part:
        return part
    return _VARIANTS.sub(lambda m: _PLAIN.format(_KINDS[m[1] or m[2]]).encode(), part)
