"""Mail and web pages saved as mail: the subject becomes the title; attachments are parts."""

import email
import email.policy
import io
import mailbox
from collections.abc import Iterable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.html import read_html
from twotower.ingest.loaders.markup import page_elements
from twotower.ingest.loaders.parts import load_part
from twotower.ingest.loaders.text import decode
from twotower.ingest.loaders.unstructured import parsed
from twotower.retrieval.vocabulary.errors import DocumentError

_DEEPEST = 4  # mails within mails
_MOST_PARTS = 500  # of one mail
_FULLER = 4  # times as many words in the HTML part: then the plain part only refers to it
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_HEADERS = ("Subject", "From", "To", "Cc", "Date")
_RAW = "surrogateescape"  # how the standard library keeps bytes of headers that are not ASCII


class _Mail:
    """Reads one mail with its parts, and collects warnings."""

    def __init__(self, limits: Limits) -> None:
        self.warnings: list[str] = []
        self._limits = limits
        self._parts = 0

    def message(self, message: EmailMessage, depth: int = 0) -> Iterator[Element]:
        """Yield the header lines of a mail and the text of its parts."""
        yield from _header_lines((name, _header(message, name)) for name in _HEADERS)
        yield from self._part(message, depth)

    def _part(self, part: EmailMessage, depth: int) -> Iterator[Element]:
        self._parts += 1
        name = part.get_filename() or ""
        if self._parts > _MOST_PARTS or depth > _DEEPEST:
            self.warnings.append(
                f"attachment {name or part.get_content_type()}: too many or too deep"
            )
        elif part.get_content_type() == "message/rfc822":
            for forwarded in part.iter_parts():
                yield from self.message(forwarded, depth + 1)  # type: ignore[arg-type]
        elif part.get_content_type() == "multipart/alternative":
            yield from self._best(list(part.iter_parts()), depth)  # type: ignore[arg-type]
        elif part.is_multipart():
            for inner in part.iter_parts():
                yield from self._part(inner, depth + 1)  # type: ignore[arg-type]
        elif name:
            data = part.get_payload(decode=True)
            yield from self.attachment(name, data if isinstance(data, bytes) else b"")
        elif part.get_content_type() == "text/html":
            yield from page_elements(_content(part))
        elif part.get_content_maintype() == "text":
            yield from _paragraphs(_content(part))

    def _best(self, parts: list[EmailMessage], depth: int) -> Iterator[Element]:
        """Yield the plain part, or another one if the plain part is blank or only refers to it."""
        found = [list(self._part(part, depth + 1)) for part in parts]
        words = [sum(len(element.text.split()) for element in elements) for elements in found]
        plain = next(
            (n for n, part in enumerate(parts) if part.get_content_type() == "text/plain"), None
        )
        if plain is not None and words[plain] and words[plain] * _FULLER >= max(words):
            yield from found[plain]
        elif found:
            yield from found[words.index(max(words))]

    def attachment(self, name: str, content: bytes) -> Iterator[Element]:
        """Yield the name of an attachment as a heading, and its text; or name it in a warning."""
        yield Element(f"Attachment: {name}", "heading", 1)
        try:
            document = load_part(name, io.BytesIO(content), self._limits)
        except DocumentError as error:
            self.warnings.append(f"attachment {name}: {error}")
            return
        self.warnings += (f"attachment {name}: {warning}" for warning in document.warnings)
        yield from document.elements


def load_eml(path: Path, limits: Limits) -> ParsedDocument:
    """Read a mail, the mails that it forwards, and its attachments.

    The standard library reads them: `unstructured` refuses forwarded messages and unknown
    charsets, and gives a mail without a date the date of its file.
    """
    data = path.read_bytes()
    message = _parsed(data)
    if not message.keys() and (b"\0" in data or not message.get_payload()):
        raise DocumentError("the file is not a mail", "malformed")
    mail = _Mail(limits)
    elements = tuple(mail.message(message))
    return ParsedDocument(_header(message, "subject"), elements, warnings=tuple(mail.warnings))


def load_mbox(path: Path, limits: Limits) -> ParsedDocument:
    """Read a mailbox: each mail under its subject as a heading."""
    elements: list[Element] = []
    mail = _Mail(limits)
    with path.open("rb") as stream:
        if not stream.read(5) == b"From ":
            raise DocumentError(
                "the file is not a mailbox: it must begin with 'From '", "malformed"
            )
    box = mailbox.mbox(path, create=False)
    for key in box.keys():  # noqa: SIM118 - a mailbox yields messages
        message = _parsed(box.get_bytes(key))
        subject = _header(message, "subject") or "(no subject)"
        elements.append(Element(subject, "heading", 1))
        for element in mail.message(message):
            level = element.level + 1 if element.kind == "heading" else 0
            elements.append(replace(element, level=level))
    box.close()
    return ParsedDocument(path.stem, tuple(elements), warnings=tuple(mail.warnings))


def load_mhtml(path: Path, _limits: Limits) -> ParsedDocument:
    """Read a saved web page: a mail whose parts are the page and its frames."""
    message = _parsed(path.read_bytes())
    parts = [part for part in message.walk() if part.get_content_type() in _PAGES]
    if not parts:
        raise DocumentError("the file contains no web page", "malformed")
    pages = [read_html(_content(part)) for part in parts if isinstance(part, EmailMessage)]
    title = pages[0].title or _header(message, "subject")
    return parsed(title, (element for page in pages for element in page.elements))


def _parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)  # what the policy makes
    return message


def _header(message: EmailMessage, name: str) -> str:
    """Return a header's text; bytes that are not declared are decoded as those of a text."""
    try:
        text = str(message[name] or "")
        raw = next((v for k, v in message.raw_items() if k.lower() == name.lower()), "")
    except (ValueError, IndexError, AttributeError, TypeError):
        return ""  # the standard library fails on some malformed addresses
    if any("\udc80" <= letter <= "\udcff" for letter in str(raw)):
        text = decode(str(raw).encode("utf-8", _RAW)) or text
    return text


def _content(part: EmailMessage) -> str:
    """Decode a part: as it declares, if the bytes are valid in that charset, else as a text."""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    charset = part.get_content_charset("")
    try:
        text = payload.decode(charset) if charset and charset != "us-ascii" else None
    except (LookupError, UnicodeDecodeError):
        text = None
    if text is None:
        text = decode(payload, charset) or payload.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").removeprefix("\ufeff")


def _paragraphs(text: str) -> Iterator[Element]:
    for paragraph in text.split("\n\n"):
        if paragraph.strip():
            yield Element(paragraph.strip("\n"))


def _header_lines(fields: Iterable[tuple[str, str]]) -> Iterator[Element]:
    lines = [f"{name}: {' '.join(value.split())}" for name, value in fields if value.strip()]
    if lines:
        yield Element("\n".join(lines), "lines")


def load_msg(path: Path, limits: Limits) -> ParsedDocument:
    """Read a mail that Outlook saved, with its attachments.

    Raises
    ------
    DocumentError
        ``malformed``.
    """
    from oxmsg import Message

    try:
        message = Message.load(str(path))
        subject = message.subject or ""
        headers = {"From": message.sender or "", **message.message_headers, "Subject": subject}
        headers.setdefault("To", ", ".join(r.email_address for r in message.recipients))
        attachments = [(a.file_name or "unknown", a.file_bytes or b"") for a in message.attachments]
        page, text = message.html_body or "", message.body or ""
    except Exception as error:  # whatever the parser raises on a broken file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DocumentError(f"the file is not an Outlook mail ({reason})", "malformed") from error
    mail = _Mail(limits)
    elements = [
        *_header_lines((name, headers.get(name, "")) for name in _HEADERS),
        *(page_elements(page) if page.strip() else _paragraphs(text)),
    ]
    for name, content in attachments:
        elements += mail.attachment(name, content)
    return ParsedDocument(subject, tuple(elements), warnings=tuple(mail.warnings))
