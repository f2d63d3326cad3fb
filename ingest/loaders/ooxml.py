"""The packages of Word, PowerPoint and Excel: prepared for their parsers, which leave out text."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from twotower.ingest.elements import Element, ParsedDocument
from twotower.retrieval.vocabulary.errors import DocumentError
from twotower.retrieval.vocabulary.text import normalised

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
_PARTS_WITHOUT_TEXT = re.compile(
    r"/theme/|styles|/settings\.xml|fonttable|slidelayout|slidemaster|notesmaster|handoutmaster"
    r"|docprops/|/numbering|websettings|customxml|printersettings|calcchain|\.rels$|content_types",
    re.IGNORECASE,
)
_PARAGRAPHS = frozenset({"p", "si", "is", "text", "v"})
_SHEET_MARGINS = frozenset(
    {"oddHeader", "oddFooter", "evenHeader", "evenFooter", "firstHeader", "firstFooter"}
)
_CODES = re.compile(r'&(?:"[^"]*"|K[\dA-F]{6}|\d+|[A-Za-z&])')
_WORD = re.compile(r"[^\W_]{3,}")
_SPACES = frozenset({"tab", "br", "cr", "ptab"})


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


def completed(document: ParsedDocument, content: io.BytesIO) -> ParsedDocument:
    """Add notes with the paragraphs of a package that have words which the document lacks.

    Among them are comments, text boxes, charts, diagrams, headers and footers.
    """
    known = {word for element in document.elements for word in _words(element.text)}
    notes = tuple(_unknown(paragraphs(content), known))
    return ParsedDocument(
        document.title,
        (*document.elements, *notes),
        document.pages,
        document.front_matter,
        document.warnings,
    )


def rescued(content: io.BytesIO, reason: str) -> ParsedDocument:
    """Read the paragraphs of a package that its parser refuses.

    Raises
    ------
    DocumentError
        ``malformed``, with the parser's reason, if there are none.
    """
    elements = tuple(Element(text) for text in dict.fromkeys(paragraphs(content)))
    if not elements:
        raise DocumentError(f"the file cannot be read ({reason})", "malformed")
    warning = f"headings and tables: not read, because the file is unusual ({reason})"
    return ParsedDocument("", elements, warnings=(warning,))


def _unknown(texts: Iterable[str], known: set[str]) -> Iterator[Element]:
    for text in texts:
        words = set(_words(text))
        if not words <= known:
            known |= words
            yield Element(text, "note")


def _words(text: str) -> list[str]:
    return _WORD.findall(normalised(text).casefold())


def paragraphs(content: io.BytesIO) -> Iterator[str]:
    """Yield the text of every paragraph, string and cell of a package, part by part."""
    try:
        with zipfile.ZipFile(content) as archive:
            for name in sorted(archive.namelist(), key=_in_order):
                if name.endswith(".xml") and not _PARTS_WITHOUT_TEXT.search(f"/{name}"):
                    yield from _paragraphs_of(archive.read(name))
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError):
        return


def _in_order(name: str) -> list[object]:
    """Order names by their numbers: slide2 before slide10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _paragraphs_of(part: bytes) -> Iterator[str]:
    from lxml import etree

    parser = etree.XMLParser(recover=True, huge_tree=True, resolve_entities=False, no_network=True)
    root = etree.fromstring(part, parser) if part.strip() else None
    if root is None:
        return
    text: list[str] = []
    for event, node in etree.iterwalk(root, events=("start", "end")):
        name = _local(node)
        if event == "start":
            if name in _SPACES:
                text.append(" ")
            elif name == "p" and text:  # a paragraph in a box, inside another one
                yield from _shown(text)
                text = []
        elif name == "t" or (name == "v" and _is_string(node)):
            text.append(node.text or "")
        elif name in _SHEET_MARGINS:
            text.append(_CODES.sub(" ", node.text or ""))
        if event == "end" and (name in _PARAGRAPHS or name in _SHEET_MARGINS):
            yield from _shown(text)
            text = []
    yield from _shown(text)


def _shown(text: list[str]) -> Iterator[str]:
    if shown := " ".join("".join(text).split()):
        yield shown


def _is_string(node: Any) -> bool:
    """Whether a value is text: the cached result of a formula, or a name in a chart."""
    above = node.getparent()
    return above is not None and (above.get("t") == "str" or _local(above) in ("pt", "tx"))


def _local(node: Any) -> str:
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""
