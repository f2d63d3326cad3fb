"""The registry of file formats, and the function that reads a file by its suffix.

A new format takes one module with a loader and one line in `_FORMATS`; docs/extending.md shows an
example.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from twotower.ingest.elements import Limits, ParsedDocument
from twotower.ingest.loaders import ocr
from twotower.ingest.loaders.archive import check_archive, load_zip
from twotower.ingest.loaders.direct import load_json, load_text
from twotower.ingest.loaders.excel97 import load_xls
from twotower.ingest.loaders.ics import load_ics
from twotower.ingest.loaders.mail import load_eml, load_mbox, load_mhtml, load_msg
from twotower.ingest.loaders.markup import load_html, load_markdown, load_xml
from twotower.ingest.loaders.notebook import load_notebook
from twotower.ingest.loaders.office import load_docx, load_pptx
from twotower.ingest.loaders.opendocument import load_odp, load_ods, load_odt
from twotower.ingest.loaders.pandoc import load_epub, load_org, load_rst, load_rtf
from twotower.ingest.loaders.pdf import load_pdf
from twotower.ingest.loaders.picture import load_picture
from twotower.ingest.loaders.source import load_config, load_json_lines, load_python, load_source
from twotower.ingest.loaders.subtitles import load_subtitles
from twotower.ingest.loaders.tables import load_delimited, load_workbook
from twotower.ingest.loaders.tex import load_tex
from twotower.ingest.loaders.vcf import load_vcf
from twotower.retrieval.vocabulary.errors import DocumentError
from twotower.retrieval.vocabulary.text import normalised

Loader = Callable[[Path, Limits], ParsedDocument]


@dataclass(frozen=True, slots=True)
class Format:
    """One file format.

    Attributes
    ----------
    name
        Name for people, as in the README's table.
    suffixes
        File name suffixes, in lower case and with the dot.
    load
        Function that reads a file and returns its elements. It runs in a worker process.
    archive
        Whether the file is a zip archive, whose unpacked size is checked before it is read.
    needs_ocr
        Whether the format is read only where OCR is available.
    by_unstructured
        Whether the loader uses the parsers of `unstructured`. They take a second to import, so
        workers start with them only where a file needs them.
    """

    name: str
    suffixes: tuple[str, ...]
    load: Loader
    archive: bool = False
    needs_ocr: bool = False
    by_unstructured: bool = False


_WORD = (".docx", ".docm", ".dotx", ".dotm")
_SLIDES = (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm")
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
_CODE = (
    *(".js", ".mjs", ".jsx", ".ts", ".tsx", ".java", ".c", ".h", ".cpp", ".hpp", ".cc", ".cs"),
    *(".go", ".rs", ".rb", ".php", ".swift", ".kt", ".kts", ".scala", ".dart", ".jl", ".sh"),
    *(".bash", ".zsh", ".bat", ".ps1", ".sql", ".r", ".lua", ".pl", ".css", ".scss", ".less"),
    *(".vue", ".svelte"),
)

_FORMATS = (
    Format("PDF", (".pdf",), load_pdf),
    Format("Plain text", (".txt", ".text", ".log"), load_text),
    Format("JSON", (".json",), load_json),
    Format("Markdown", (".md", ".markdown"), load_markdown),
    Format("HTML", (".html", ".htm", ".xhtml"), load_html),
    Format("XML", (".xml",), load_xml),
    Format(
        "Word", (".docx", ".docm", ".dotx", ".dotm"), load_docx, archive=True, by_unstructured=True
    ),
    Format(
        "PowerPoint",
        (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"),
        load_pptx,
        archive=True,
        by_unstructured=True,
    ),
    Format("Excel", (".xlsx", ".xlsm", ".xltx", ".xltm"), load_workbook, archive=True),
    Format("Excel 97", (".xls", ".xlt"), load_xls),
    Format("Comma-separated", (".csv",), load_delimited),
    Format("Tab-separated", (".tsv",), load_delimited),
    Format("E-mail", (".eml",), load_eml),
    Format("Mailbox", (".mbox",), load_mbox),
    Format("Outlook mail", (".msg",), load_msg),
    Format("E-book", (".epub",), load_epub, archive=True),
    Format("OpenDocument text", (".odt", ".ott"), load_odt, archive=True),
    Format("OpenDocument sheets", (".ods", ".ots"), load_ods, archive=True),
    Format("OpenDocument slides", (".odp", ".otp"), load_odp, archive=True),
    Format("Rich text", (".rtf",), load_rtf),
    Format("reStructuredText", (".rst",), load_rst),
    Format("Picture (with OCR)", _PICTURES, load_picture, needs_ocr=True),
    Format("Org mode", (".org",), load_org),
    Format("LaTeX", (".tex",), load_tex),
    Format("Jupyter notebook", (".ipynb",), load_notebook),
    Format("JSON lines", (".jsonl", ".ndjson"), load_json_lines),
    Format("YAML, TOML", (".yaml", ".yml", ".toml"), load_source),
    Format("Configuration", (".ini", ".cfg", ".conf", ".properties"), load_config),
    Format("Python", (".py",), load_python),
    Format("Source code", _CODE, load_source),
    Format("Subtitles", (".srt", ".vtt"), load_subtitles),
    Format("Calendar", (".ics",), load_ics),
    Format("Contacts", (".vcf",), load_vcf),
    Format("Saved web page", (".mhtml", ".mht"), load_mhtml),
    Format("Zip archive", (".zip",), load_zip, archive=True),
)

FORMATS: dict[str, Format] = {suffix: f for f in _FORMATS for suffix in f.suffixes}


def register(added: Format) -> None:
    """Add a format from outside this package.

    Worker processes that start later know the format as well; they import the module of its loader.

    Raises
    ------
    TypeError
        If the loader is not a function that another process can import by its name.
    ValueError
        If a suffix is malformed or belongs to another format.
    """
    for suffix in added.suffixes:
        if not suffix.startswith(".") or suffix != suffix.lower():
            raise ValueError(f"suffix {suffix!r} must begin with a dot and be in lower case")
        if FORMATS.get(suffix, added) != added:
            raise ValueError(f"suffix {suffix!r} belongs to the format {FORMATS[suffix].name!r}")
    if not _importable(added.load):
        raise TypeError(
            f"the loader of {added.name!r} must be a function at the top level of a module that "
            "worker processes can import, and not of the main script"
        )
    FORMATS.update(dict.fromkeys(added.suffixes, added))


def _importable(load: Loader) -> bool:
    """Whether another process can import the function, or the one of a `functools.partial`."""
    try:
        pickle.dumps(load)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return getattr(getattr(load, "func", load), "__module__", None) != "__main__"


def registered() -> tuple[Format, ...]:
    """List the formats that `register` has added."""
    return tuple(dict.fromkeys(f for f in FORMATS.values() if f not in _FORMATS))


def load(path: Path, limits: Limits) -> ParsedDocument:
    """Read a file by its suffix.

    Raises
    ------
    DocumentError
        With one line that explains to the owner of the file what is wrong with it.
    """
    file_format = FORMATS[path.suffix.lower()]
    if file_format.archive:
        check_archive(path, limits)
    document = _normalised(file_format.load(path, limits))
    if not any(element.text.strip() for element in document.elements):
        raise DocumentError("the file contains no text", "no-text")
    return document if document.title.strip() else replace(document, title=path.stem)


def _normalised(document: ParsedDocument) -> ParsedDocument:
    """Normalise the text; a loader that gives boxes of lines does it, because offsets change."""
    elements = (
        element if element.lines else replace(element, text=normalised(element.text))
        for element in document.elements
    )
    return replace(document, title=normalised(document.title), elements=tuple(elements))


def needs_unstructured(path: Path) -> bool:
    """Whether the file is read by the parsers of `unstructured`."""
    known = FORMATS.get(path.suffix.lower())
    return known is not None and known.by_unstructured


def readable_suffixes(engine: str = "auto") -> frozenset[str]:
    """Return the suffixes that can be read here; pictures need OCR (see `Limits.ocr`)."""
    available = bool(ocr.engines(engine))
    return frozenset(s for s, f in FORMATS.items() if available or not f.needs_ocr)
