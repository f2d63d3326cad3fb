"""Content lines of calendars and contacts: ``NAME;PARAMETER=value:value`` (RFC 5545, RFC 6350)."""

import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twotower.ingest.loaders.text import decode, read_text

_LINE = re.compile(
    r"(?:(?P<group>[\w-]+)\.)?(?P<name>[\w-]+)(?P<parameters>(?:;(?:\"[^\"\n]*\"|[^\";:\n])*)*):"
)
_PARAMETER = re.compile(r";([\w-]+)(?:=((?:\"[^\"\n]*\"|[^\";\n])*))?")
_FOLD = re.compile(rb"\r?\n[ \t]")
_ESCAPED = re.compile(r"\\([\\;,:nN])")


@dataclass(frozen=True, slots=True)
class ContentLine:
    """One property: its name in capitals, its parameters, and its value as written.

    ``group`` relates properties of a contact, such as a number and its label.
    """

    name: str
    parameters: dict[str, str]
    value: str
    group: str = ""

    @property
    def text(self) -> str:
        """The value as text, without escapes."""
        return unescaped(self.value)

    def fields(self, separator: str) -> list[str]:
        """Return the parts of a value that has several, without the empty ones."""
        parts = re.findall(rf"(?:\\.|[^\\{separator}])+", self.value, re.DOTALL)
        return [text for part in parts if (text := unescaped(part).strip())]


def unescaped(value: str) -> str:
    r"""Replace escapes such as ``\n`` and ``\,``."""
    return _ESCAPED.sub(lambda escape: "\n" if escape[1] in "nN" else escape[1], value)


def read_content_lines(path: Path) -> Iterator[ContentLine]:
    """Yield the properties of a file, with ``BEGIN`` and ``END``.

    A line that is no property belongs to the one before it: some programs do not indent the lines
    of a text.

    Raises
    ------
    DocumentError
        ``binary`` if the file is not text.
    """
    last: list[str] = []
    for line in _unfolded(_text(path).split("\n")):
        if not _LINE.match(line):
            last.append(line)
            continue
        if last:
            yield from _parsed("\n".join(last))
        last = [line]
    yield from _parsed("\n".join(last))


def _text(path: Path) -> str:
    """Decode a file, also if its lines are folded inside letters (RFC 5545, section 3.1)."""
    data = path.read_bytes()
    joined = _FOLD.sub(b"", data)
    if not _is_utf8(data) and _is_utf8(joined):
        return joined.decode("utf-8-sig").replace("\r\n", "\n")
    return read_text(path)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _parsed(line: str) -> Iterator[ContentLine]:
    match = _LINE.match(line)
    if match is None:
        return
    parameters: dict[str, str] = {}
    for name, value in _PARAMETER.findall(match["parameters"]):
        # vCard 2.1 writes TEL;HOME where later versions write TEL;TYPE=HOME.
        key, text = (name.upper(), value.replace('"', "")) if value else ("TYPE", name)
        parameters[key] = f"{parameters[key]},{text}" if key in parameters else text
    content = line[match.end() :]
    if _is_quoted_printable(line):
        data = quopri.decodestring(content.encode("utf-8"))
        content = decode(data, parameters.get("CHARSET", "")) or data.decode("utf-8", "replace")
        content = content.replace("\r\n", "\n")
    yield ContentLine(match["name"].upper(), parameters, content.strip(), match["group"] or "")


def _unfolded(lines: list[str]) -> Iterator[str]:
    """Join the lines that a property is folded into."""
    parts: list[str] = []
    soft = False  # the last line ended with the line break of quoted-printable text
    for line in lines:
        if soft:
            parts.append(line)
        elif line.startswith((" ", "\t")) and parts:
            parts.append(line[1:])
        else:
            yield "".join(parts)
            parts = [line]
            quoted = _is_quoted_printable(line)
            soft = quoted and line.endswith("=")
            if soft:
                parts[-1] = line[:-1]
            continue
        if soft:
            soft = line.endswith("=")
            parts[-1] = line[:-1] if soft else line
    yield "".join(parts)


def _is_quoted_printable(line: str) -> bool:
    return "QUOTED-PRINTABLE" in line.partition(":")[0].upper()
