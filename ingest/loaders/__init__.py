"""From a file to its elements: the table of formats, and one function for each way to read them."""

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ingest.elements import Element, Limits, ParsedDocument
from ingest.loaders import ocr
from ingest.loaders.pdf import load_pdf
from ingest.loaders.unstructured import Headings, elements_of, parsed, partition
from retrieval.errors import DocumentError

Loader = Callable[[Path, Limits], ParsedDocument]

_ARCHIVES = frozenset({".docx", ".pptx", ".xlsx", ".epub", ".odt"})
_SMALL_ARCHIVE = 20 * 2**20  # bytes unpacked: below, no ratio hurts
_SNIFFED = 65536
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_MOST_CONTROL = 0.02  # of a text's characters; real text has next to none


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file: its name for people, its suffixes, and how it is read."""

    name: str
    suffixes: tuple[str, ...]
    load: Loader


def load(path: Path, limits: Limits) -> ParsedDocument:
    """Read a file by its suffix.

    Raises
    ------
    DocumentError
        With one line that tells the owner of the file what is wrong with it.
    """
    if path.suffix.lower() in _ARCHIVES:
        _check_archive(path, limits)
    document = FORMATS[path.suffix.lower()].load(path, limits)
    if not any(element.text.strip() for element in document.elements):
        raise DocumentError("the file has no text in it", "no-text")
    return document if document.title.strip() else replace(document, title=path.stem)


def readable_suffixes() -> frozenset[str]:
    """Tell which files are worth finding: pictures only where their text can be recognised."""
    pictures = set() if ocr.available() else set(ocr.SUFFIXES)
    return frozenset(set(FORMATS) - pictures)


def _check_archive(path: Path, limits: Limits) -> None:
    """Refuse an archive that unpacks to too much; archives inside it are never opened.

    Python's zipfile reads no more of an entry than its directory entry claims, so the claims are
    what counts.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            expanded = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError):
        return  # the loader tells what is wrong with it
    ratio = expanded / max(path.stat().st_size, 1)
    if expanded > limits.max_expanded_mb * 2**20:
        raise DocumentError(
            f"the file unpacks to {expanded / 2**20:.0f} MB, the limit is "
            f"{limits.max_expanded_mb} MB (TWOTOWER_MAX_EXPANDED_MB)",
            "archive-bomb",
        )
    if expanded > _SMALL_ARCHIVE and ratio > limits.max_expansion:
        raise DocumentError(
            f"the file unpacks to {ratio:.0f} times its size, the limit is "
            f"{limits.max_expansion} (TWOTOWER_MAX_EXPANSION)",
            "archive-bomb",
        )


def read_text(path: Path) -> str:
    """Decode a text file: UTF-8, a byte order mark, or the most probable other encoding.

    Raises
    ------
    DocumentError
        ``binary`` if no encoding makes text of it.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = _guess_encoding(data)
    sample = text[:_SNIFFED]
    if len(_CONTROL.findall(sample)) > len(sample) * _MOST_CONTROL:
        raise DocumentError(
            f"the file is binary, not text: give it the suffix of its format, not '{path.suffix}'",
            "binary",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _guess_encoding(data: bytes) -> str:
    import charset_normalizer  # noqa: PLC0415 - 0.1 s, and few files need it

    best = charset_normalizer.from_bytes(data).best()
    if best is None:
        raise DocumentError("the file is binary, or text in no known encoding", "binary")
    return str(best)


def _load_text(module: str, headings: Headings, path: Path, _limits: Limits) -> ParsedDocument:
    text = read_text(path)
    return parsed("", elements_of(_partition_text(module, text), headings))


def _partition_text(module: str, text: str) -> list[Any]:
    return partition(module, {"text": text}) if text.strip() else []


def _load_markdown(path: Path, _limits: Limits) -> ParsedDocument:
    """Markdown; front matter gives the title and is not part of the text."""
    text = read_text(path)
    front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    title = ""
    if front:
        text = text[front.end() :]
        named = re.search(r"^title:\s*['\"]?(.+?)['\"]?\s*$", front[1], re.MULTILINE)
        title = named[1] if named else ""
    return parsed(title, elements_of(_partition_text("md", text), "marked"))


def _load_html(path: Path, _limits: Limits) -> ParsedDocument:
    """Web pages, without their navigation, header and footer."""
    from lxml import html  # noqa: PLC0415 - keeps the start of every command short

    text = read_text(path)
    if not text.strip():
        return ParsedDocument("", ())
    tree = html.document_fromstring(text.encode("utf-8"), html.HTMLParser(encoding="utf-8"))
    title = tree.findtext(".//title") or ""
    for element in tree.xpath("//nav | //body/header | //body/footer | //script | //style"):
        element.drop_tree()
    page = html.tostring(tree, encoding="unicode")
    return parsed(title.strip(), elements_of(_partition_text("html", page), "marked"))


def _load_xml(path: Path, _limits: Limits) -> ParsedDocument:
    """XML: one line for each element that has text or attributes, with its name.

    Entities are not resolved, so that none can unfold without end or read another file.
    """
    from lxml import etree  # noqa: PLC0415 - keeps the start of every command short

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.parse(path, parser).getroot()
    except etree.XMLSyntaxError as error:
        raise DocumentError(f"is not well-formed XML ({error.msg})", "malformed") from error
    lines = [line for element in root.iter(etree.Element) for line in _xml_lines(element)]
    return ParsedDocument(path.stem, (Element("\n".join(lines), "lines"),))


def _xml_lines(element: Any) -> Iterator[str]:
    name = element.tag.rpartition("}")[2]
    attributes = ", ".join(f"{key.rpartition('}')[2]} {value}" for key, value in element.items())
    text = " ".join((element.text or "").split())
    if text or attributes:
        yield f"{name}: {', '.join(part for part in (attributes, text) if part)}"
    if (element.tail or "").strip():
        yield " ".join(element.tail.split())


def _load_org(path: Path, limits: Limits) -> ParsedDocument:
    """Org mode; its title is a keyword that does not reach the text."""
    document = _load_file("org", "marked", path, limits)
    named = re.search(r"^#\+title:[ \t]*(.+)$", read_text(path), re.MULTILINE | re.IGNORECASE)
    return replace(document, title=named[1].strip()) if named else document


def _load_file(module: str, headings: Headings, path: Path, _limits: Limits) -> ParsedDocument:
    return parsed("", elements_of(partition(module, {"filename": str(path)}), headings))


def _load_table(module: str, path: Path, _limits: Limits) -> ParsedDocument:
    """Delimited text; decoded here, because pandas would take UTF-8 for granted."""
    import io  # noqa: PLC0415 - as small as the function that needs it

    text = read_text(path)
    if not text.strip():
        return ParsedDocument("", ())
    content = {"file": io.BytesIO(text.encode("utf-8"))}
    return parsed(path.stem, elements_of(partition(module, content), "none"))


def _load_workbook(path: Path, _limits: Limits) -> ParsedDocument:
    """Workbooks: a heading for each sheet, free text and tables below it."""
    sheets = elements_of(partition("xlsx", {"filename": str(path)}), "none")
    return parsed(path.stem, sheets)


def _load_docx(path: Path, _limits: Limits) -> ParsedDocument:
    """Word: headings are the paragraphs with a heading style, at the style's level."""
    import docx  # noqa: PLC0415 - 0.2 s

    partitions = partition("docx", {"filename": str(path)})
    document = docx.Document(str(path))
    levels = {"": 0}
    for paragraph in document.paragraphs:
        style = re.fullmatch(
            r"(Title)|Heading (\d)", paragraph.style.name if paragraph.style else ""
        )
        if style:
            levels[paragraph.text.strip()] = 1 if style[1] else int(style[2])
    title = (document.core_properties.title or "").strip()
    if len(levels) == 1:
        return parsed(title, elements_of(partitions, "guessed"))
    elements = (_styled(e, levels) for e in elements_of(partitions, "marked"))
    return parsed(title, elements)


def _styled(element: Element, levels: dict[str, int]) -> Element:
    level = levels.get(element.text.strip(), 0)
    if level and element.kind in ("heading", "text"):
        return replace(element, kind="heading", level=level)
    return replace(element, kind="text", level=0) if element.kind == "heading" else element


def _load_pptx(path: Path, _limits: Limits) -> ParsedDocument:
    """Slides: one page each, headed by the slide's title, with the speaker's notes."""
    partitions = partition("pptx", {"filename": str(path)}, include_slide_notes=True)
    elements = list(elements_of(partitions, "marked"))
    pages = sorted({element.page or 0 for element in elements})
    return parsed("", (e for page in pages for e in _slide(elements, page)))


def _slide(elements: list[Element], page: int) -> Iterator[Element]:
    """The slide's title first, and no other heading: every short bullet looks like one."""
    slide = [element for element in elements if element.page == page]
    title = next((e for e in slide if e.kind == "heading" and e.level == 1), None)
    if title:
        yield title
    for element in slide:
        if element is not title:
            yield replace(element, kind="text", level=0) if element.kind == "heading" else element


def _load_mail(module: str, path: Path, _limits: Limits) -> ParsedDocument:
    """Mail: the subject is the title, and who wrote to whom and when can be found."""
    partitions = partition(module, {"filename": str(path)})
    if not partitions:
        return ParsedDocument("", ())
    metadata = partitions[0].metadata
    head = [
        f"{name}: {', '.join(value) if isinstance(value, list) else value}"
        for name, value in (
            ("Subject", metadata.subject),
            ("From", metadata.sent_from),
            ("To", metadata.sent_to),
            ("Date", (metadata.last_modified or "")[:10]),
        )
        if value
    ]
    elements = [Element("\n".join(head), "lines"), *elements_of(partitions, "none")]
    return parsed(metadata.subject or "", iter(elements))


_FORMATS = (
    Format("PDF", (".pdf",), load_pdf),
    Format("Plain text", (".txt", ".text", ".log"), partial(_load_text, "text", "guessed")),
    Format("JSON", (".json",), partial(_load_text, "text", "none")),
    Format("Markdown", (".md", ".markdown"), _load_markdown),
    Format("HTML", (".html", ".htm", ".xhtml"), _load_html),
    Format("XML", (".xml",), _load_xml),
    Format("Word", (".docx",), _load_docx),
    Format("PowerPoint", (".pptx",), _load_pptx),
    Format("Excel", (".xlsx", ".xls"), _load_workbook),
    Format("Comma-separated", (".csv",), partial(_load_table, "csv")),
    Format("Tab-separated", (".tsv",), partial(_load_table, "tsv")),
    Format("E-mail", (".eml",), partial(_load_mail, "email")),
    Format("Outlook mail", (".msg",), partial(_load_mail, "msg")),
    Format("E-book", (".epub",), partial(_load_file, "epub", "marked")),
    Format("OpenDocument", (".odt",), partial(_load_file, "odt", "guessed")),
    Format("Rich text", (".rtf",), partial(_load_file, "rtf", "marked")),
    Format("reStructuredText", (".rst",), partial(_load_file, "rst", "marked")),
    Format("Picture (with OCR)", ocr.SUFFIXES, ocr.load_picture),
    Format("Org mode", (".org",), _load_org),
)

FORMATS: dict[str, Format] = {suffix: f for f in _FORMATS for suffix in f.suffixes}
