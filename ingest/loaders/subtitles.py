"""Subtitles: captions joined into paragraphs, each with the time at which it begins."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.text import read_text
from twotower.retrieval.vocabulary.errors import DocumentError

_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[,.]\d+"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
_MARKUP = re.compile(r"</?[A-Za-z\d][^<>\n]*>|\{\\[^{}\n]*\}")  # <i>, <00:01.000>, {\an8}
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?[ \t]+([^<>\s][^<>\n]*)>", re.IGNORECASE)
_HEADER = re.compile(r"WEBVTT(?:[ \t]+(?:-[ \t]*)?(.*))?")
_HIDDEN = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)|WEBVTT")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]]*$")  # noqa: RUF001 - full-width marks are meant
# Seconds. A paragraph ends at a pause, or at the end of a sentence once it is long enough.
_PAUSE = 4
_LONG = 30
_LONGEST = 90


@dataclass(slots=True)
class _Caption:
    begin: int
    end: int
    lines: list[str] = field(default_factory=list)


def load_subtitles(path: Path, _limits: Limits) -> ParsedDocument:
    """Read subtitles in SRT or WebVTT format.

    Raises
    ------
    DocumentError
        ``malformed`` if the file contains no caption.
    """
    text = read_text(path)
    header = _HEADER.match(text)
    captions = list(_captions(text.split("\n"), web=header is not None))
    if not captions:
        raise DocumentError("the file contains no captions in SRT or WebVTT format", "malformed")
    title = (header[1] or "").strip() if header else ""
    return ParsedDocument(title, tuple(_paragraphs(captions)))


def _captions(lines: Iterable[str], *, web: bool) -> Iterator[_Caption]:
    """Yield the captions; what follows an empty line inside a caption still belongs to it."""
    caption: _Caption | None = None
    block: list[str] = []  # lines since the last empty line or timing
    below_timing = False
    for line in [*lines, ""]:
        timing = _TIMING.match(line)
        if line.strip() and not timing:
            block.append(line)
            continue
        if timing and block and (not below_timing or block[-1].strip().isdigit()):
            block.pop()  # number or name of the next caption
        hidden = web and not below_timing and block and _HIDDEN.match(block[0])
        if caption and not hidden:
            caption.lines += _shown(block)
        block = []
        below_timing = timing is not None or (below_timing and bool(hidden))
        if timing:
            if caption:
                yield caption
            parts = [int(part or 0) for part in timing.groups()]
            caption = _Caption(_seconds(*parts[:3]), _seconds(*parts[3:]))
    if caption:
        yield caption


def _seconds(hours: int, minutes: int, seconds: int) -> int:
    return (hours * 60 + minutes) * 60 + seconds


def _shown(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        shown = _MARKUP.sub("", _VOICE.sub(r"\1: ", line))
        if text := " ".join(unescape(shown).split()):
            yield text


def _paragraphs(captions: Iterable[_Caption]) -> Iterator[Element]:
    """Yield paragraphs; a line that the next caption repeats, as it scrolls up, counts once."""
    begin = end = 0
    paragraph: list[str] = []
    last = ""
    for caption in captions:
        lines = []
        for line in caption.lines:
            if line != last:
                lines.append(line)
            last = line
        if not lines:
            continue
        length = caption.begin - begin
        ended = bool(paragraph) and _SENTENCE_END.search(paragraph[-1]) is not None
        if paragraph and (
            caption.begin - end >= _PAUSE or length >= (_LONG if ended else _LONGEST)
        ):
            yield _paragraph(begin, paragraph)
            paragraph = []
        if not paragraph:
            begin = caption.begin
        paragraph += lines
        end = caption.end
    if paragraph:
        yield _paragraph(begin, paragraph)


def _paragraph(begin: int, lines: Iterable[str]) -> Element:
    time = f"{begin // 3600:02}:{begin // 60 % 60:02}:{begin % 60:02}"
    return Element(f"{time} {' '.join(lines)}")
