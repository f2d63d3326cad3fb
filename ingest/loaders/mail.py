"""Mail: the subject is the title, and who wrote to whom and when can be found."""

import email
import email.policy
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from pathlib import Path

from ingest.elements import Element, Limits, ParsedDocument
from ingest.loaders.markup import page_elements
from ingest.loaders.unstructured import elements_of, partition
from retrieval.errors import DocumentError


def load_eml(path: Path, _limits: Limits) -> ParsedDocument:
    """A mail as it was sent, and the mails that it forwards.

    Read by the standard library: `unstructured` refuses forwarded messages and unknown charsets,
    and gives a mail without a date that of its file.
    """
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    if not isinstance(message, EmailMessage) or not (message.keys() or message.get_payload()):
        raise DocumentError("is no mail", "malformed")
    return ParsedDocument(str(message["subject"] or ""), tuple(_message(message)))


def _message(message: EmailMessage) -> Iterator[Element]:
    names = ("Subject", "From", "To", "Cc", "Date")
    yield from _head((name, str(message[name] or "")) for name in names)
    body = message.get_body(("plain", "html"))
    if body is not None:
        text = _content(body)  # type: ignore[arg-type]
        if body.get_content_subtype() == "html":
            yield from page_elements(text)
        else:
            yield from _paragraphs(text)
    for part in message.iter_attachments() if message.is_multipart() else ():
        if part.get_content_type() == "message/rfc822":
            for forwarded in part.iter_parts():
                yield from _message(forwarded)  # type: ignore[arg-type]
        elif part.get_filename():
            yield Element(f"Attachment: {part.get_filename()}")


def _content(part: EmailMessage) -> str:
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError):  # a charset that nobody knows
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


def _paragraphs(text: str) -> Iterator[Element]:
    for paragraph in text.replace("\r\n", "\n").split("\n\n"):
        if paragraph.strip():
            yield Element(paragraph.strip("\n"))


def _head(fields: Iterable[tuple[str, str]]) -> Iterator[Element]:
    lines = [f"{name}: {' '.join(value.split())}" for name, value in fields if value.strip()]
    if lines:
        yield Element("\n".join(lines), "lines")


def load_msg(path: Path, _limits: Limits) -> ParsedDocument:
    """A mail as Outlook keeps it."""
    partitions = partition("msg", {"filename": str(path)})
    if not partitions:
        return ParsedDocument("", ())
    metadata = partitions[0].metadata
    head = _head(
        (name, ", ".join(value) if isinstance(value, list) else value or "")
        for name, value in (
            ("Subject", metadata.subject),
            ("From", metadata.sent_from),
            ("To", metadata.sent_to),
        )
    )
    elements = (*head, *elements_of(partitions, "none"))
    return ParsedDocument(metadata.subject or "", elements)
