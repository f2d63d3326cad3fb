"""Contacts in vCard format, versions 2.1 to 4.0 (RFC 6350): each under its name as a heading."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.content_lines import ContentLine, read_content_lines
from twotower.retrieval.vocabulary.errors import DocumentError

_HIDDEN = frozenset(
    {"BEGIN", "END", "VERSION", "PRODID", "UID", "REV", "PHOTO", "LOGO", "SOUND", "KEY", "SOURCE"}
    | {"KIND", "CLIENTPIDMAP", "FN", "N", "XML", "GEO", "TZ", "PROFILE", "SORT-STRING", "MAILER"}
)
_LABELS = {
    "TEL": "Telephone",
    "EMAIL": "E-mail",
    "ADR": "Address",
    "LABEL": "Address",
    "ORG": "Organization",
    "URL": "Link",
    "BDAY": "Birthday",
    "IMPP": "Messenger",
    "TITLE": "Job title",
}
_LISTS = {"ADR": ";", "ORG": ";", "N": ";", "CATEGORIES": ",", "NICKNAME": ","}
_LABEL = "X-ABLABEL"  # of the property of its group, in Apple's contacts
_SHOWN_X = re.compile(
    r"X-(?:AIM|ICQ|JABBER|MSN|SKYPE(?:-USERNAME)?|QQ|YAHOO|GOOGLE-TALK|TWITTER|SIP"
    r"|SOCIALPROFILE|ABRELATEDNAMES|ABDATE|ANNIVERSARY|SPOUSE|MANAGER|ASSISTANT"
    r"|MAIDENNAME|PHONETIC-(?:FIRST|LAST|MIDDLE)-NAME)"
)
_HIDDEN_TYPES = frozenset({"pref", "internet", "voice"})


def load_vcf(path: Path, _limits: Limits) -> ParsedDocument:
    """Read contacts; pictures and keys are not part of the text.

    Raises
    ------
    DocumentError
        ``malformed`` if the file contains no contact.
    """
    elements: list[Element] = []
    contact: list[ContentLine] = []
    found = 0
    for line in read_content_lines(path):
        if line.name == "BEGIN" and line.value.upper() == "VCARD":
            elements += _contact(contact)
            contact = []
            found += 1
        elif found:
            contact.append(line)
    if not found:
        raise DocumentError("the file contains no contact: it has no BEGIN:VCARD", "malformed")
    elements += _contact(contact)
    title = elements[0].text if found == 1 and elements else ""
    return ParsedDocument(title, tuple(elements))


def _contact(lines: Sequence[ContentLine]) -> Iterator[Element]:
    if not lines:
        return
    labels = {line.group: line.text for line in lines if line.name == _LABEL}
    details = list(filter(None, (_detail(line, labels) for line in lines)))
    notes = [line.text for line in lines if line.name == "NOTE" and line.text]
    yield Element(_name(lines), "heading", 1)
    if details:
        yield Element("\n".join(details), "lines")
    yield from map(Element, notes)


def _name(lines: Sequence[ContentLine]) -> str:
    """Return the formatted name with the parts of the full one that it lacks."""
    formatted = next((line.text for line in lines if line.name == "FN" and line.text), "")
    parts = next((line.fields(";") for line in lines if line.name == "N"), [])
    missing = [part for part in (*parts[1:], *parts[:1]) if part not in formatted]
    organization = next((line.fields(";") for line in lines if line.name == "ORG"), [])
    name = " ".join(filter(None, (formatted, " ".join(missing)))) or ", ".join(organization)
    return " ".join(name.split()) or "(no name)"


def _detail(line: ContentLine, labels: dict[str, str]) -> str:
    """Return the line of a property, or "" if it is not for people."""
    shown = not line.name.startswith("X-") or _SHOWN_X.fullmatch(line.name)
    if line.name in _HIDDEN or line.name == "NOTE" or not shown:
        return ""
    if separator := _LISTS.get(line.name):
        value = ", ".join(" ".join(part.split()) for part in line.fields(separator))
    else:
        value = " ".join(re.sub(r"^(?:tel|mailto):", "", line.text).split())
    types = [part for part in line.parameters.get("TYPE", "").lower().split(",") if part]
    own = labels.get(line.group, "").removeprefix("_$!<").removesuffix(">!$_") if line.group else ""
    kinds = [own] if own else [kind for kind in types if kind not in _HIDDEN_TYPES]
    name = line.name.removeprefix("X-AB").removeprefix("X-")
    label = _LABELS.get(line.name, name.replace("-", " ").capitalize())
    label += f" ({', '.join(kinds)})" if kinds else ""
    return f"{label}: {value}" if value else ""
