"""Calendars in iCalendar format (RFC 5545): each event, task and journal entry under a heading."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from twotower.ingest.elements import Element, Limits, ParsedDocument
from twotower.ingest.loaders.content_lines import ContentLine, read_content_lines
from twotower.ingest.loaders.markup import page_elements
from twotower.retrieval.vocabulary.errors import DocumentError

_CALENDAR = "VCALENDAR"
_ENTRIES = frozenset({"VEVENT", "VTODO", "VJOURNAL"})
_HIDDEN = frozenset(
    {"BEGIN", "END", "UID", "DTSTAMP", "CREATED", "LAST-MODIFIED", "SEQUENCE", "CLASS", "TRANSP"}
    | {"GEO", "RECURRENCE-ID", "SUMMARY", "DESCRIPTION", "DTSTART", "DTEND", "DURATION", "PRIORITY"}
    | {"REQUEST-STATUS"}
)
_LABELS = {
    "LOCATION": "Place",
    "DUE": "Due",
    "COMPLETED": "Completed",
    "RRULE": "Repeats",
    "RDATE": "Also on",
    "EXDATE": "Except on",
    "ORGANIZER": "Organizer",
    "ATTENDEE": "Attendee",
    "URL": "Link",
    "ATTACH": "Attachment",
    "PERCENT-COMPLETE": "Per cent complete",
}
_DATES = frozenset({"DUE", "COMPLETED", "RDATE", "EXDATE"})
_PEOPLE = frozenset({"ORGANIZER", "ATTENDEE"})
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)?(Z)?)?")
_UNITS = {"YEARLY": "year", "MONTHLY": "month", "WEEKLY": "week", "DAILY": "day", "HOURLY": "hour"}
_DAYS = {"MO": "Monday", "TU": "Tuesday", "WE": "Wednesday", "TH": "Thursday", "FR": "Friday"}
_DAYS |= {"SA": "Saturday", "SU": "Sunday"}
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_ORDINALS = {"1": "first ", "2": "second ", "3": "third ", "4": "fourth ", "-1": "last "}
_WEEKDAY = re.compile(r"([+-]?\d+)?([A-Z]{2})")
_DURATION_UNITS = {"W": "week", "D": "day", "H": "hour", "M": "minute", "S": "second"}
_PAGE = re.compile(r"<(?:html|body|br|p|a|b|i|u|ul|ol|li|span|div|table)\b", re.IGNORECASE)


def load_ics(path: Path, _limits: Limits) -> ParsedDocument:
    """Read a calendar: dates as a person reads them, with the time zone as it is written.

    Reminders, time zone tables and the identifiers of entries are not part of the text.

    Raises
    ------
    DocumentError
        ``malformed`` if the file is not a calendar.
    """
    title = ""
    elements: list[Element] = []
    entry: list[ContentLine] = []
    inside: list[str] = []  # open components
    found = False
    for line in read_content_lines(path):
        if line.name == "BEGIN":
            inside.append(line.value.upper())
            found = found or inside == [_CALENDAR]
        elif line.name == "END" and inside:
            if inside.pop() in _ENTRIES:
                elements += _entry(entry)
                entry = []
        elif inside and inside[-1] in _ENTRIES:
            entry.append(line)
        elif inside == [_CALENDAR] and line.name in ("X-WR-CALNAME", "NAME"):
            title = line.text
        elif inside == [_CALENDAR] and line.name in ("X-WR-CALDESC", "DESCRIPTION"):
            elements.append(Element(line.text))
    if not found:
        raise DocumentError("the file is not a calendar: it has no BEGIN:VCALENDAR", "malformed")
    return ParsedDocument(title, (*elements, *_entry(entry)))  # a file that was cut has an open one


def _entry(lines: Sequence[ContentLine]) -> Iterator[Element]:
    """Yield the summary as a heading, a line for each property, and the description."""
    if not lines:
        return
    first = {line.name: line for line in reversed(lines)}
    summary = first["SUMMARY"].text if "SUMMARY" in first else ""
    yield Element(" ".join(summary.split()) or "(no summary)", "heading", 1)
    details = [f"When: {when}"] if (when := _when(first)) else []
    details += filter(None, map(_detail, lines))
    if details:
        yield Element("\n".join(details), "lines")
    if "DESCRIPTION" in first:
        yield from _description(first["DESCRIPTION"].text)
    elif "X-ALT-DESC" in first:
        yield from _description(first["X-ALT-DESC"].text)


def _description(text: str) -> Iterator[Element]:
    if _PAGE.search(text):
        yield from page_elements(text.replace("\n", "<br>"))
    elif text.strip():
        yield Element(text)


def _detail(line: ContentLine) -> str:
    """Return the line of a property, or "" if it is not for people."""
    if line.name in _HIDDEN or line.name.startswith("X-"):
        return ""
    if line.name in _PEOPLE:
        address = re.sub("^mailto:", "", line.value, flags=re.IGNORECASE)
        value = f"{line.parameters.get('CN', '')} <{address}>".strip()
    elif line.name == "RRULE":
        value = _rule(line.value)
    elif line.name == "ATTACH":
        inline = line.parameters.get("ENCODING") or line.parameters.get("VALUE") == "BINARY"
        value = " ".join((line.parameters.get("FILENAME", ""), "" if inline else line.value))
    elif line.name in _DATES:
        values = [_moment(value, line.parameters) for value in line.value.split(",")]
        value = "; ".join(values)
    else:
        value = " ".join(line.text.split())
    label = _LABELS.get(line.name, line.name.replace("-", " ").capitalize())
    return f"{label}: {value.strip()}" if value.strip() else ""


def _when(first: dict[str, ContentLine]) -> str:
    """Return begin and end; the end of an entry of whole days is the day after it."""
    begin = first.get("DTSTART")
    if begin is None:
        return ""
    end = first.get("DTEND")
    shown = _moment(begin.value, begin.parameters)
    if end is not None:
        day, clock, zone = _split(begin.value, begin.parameters)
        last, last_clock, last_zone = _split(end.value, end.parameters)
        if not last_clock and last and day and last > day:
            last = date.fromordinal(last.toordinal() - 1)
        if last == day and clock and zone == last_zone:
            return ", ".join(filter(None, (_day(day), f"{clock} to {last_clock}", zone)))
        if last and last != day:
            return f"{shown} to {', '.join(filter(None, (_day(last), last_clock, last_zone)))}"
    elif "DURATION" in first:
        lasts = re.findall(r"(\d+)([WDHMS])", first["DURATION"].value)
        parts = (
            f"{int(n)} {_DURATION_UNITS[unit]}{'' if int(n) == 1 else 's'}" for n, unit in lasts
        )
        return f"{shown}, for {' '.join(parts)}"
    return shown


def _moment(value: str, parameters: dict[str, str]) -> str:
    day, clock, zone = _split(value, parameters)
    return ", ".join(filter(None, (_day(day), clock, zone))) if day else value


def _split(value: str, parameters: dict[str, str]) -> tuple[date | None, str, str]:
    """Return day, time and time zone of a date such as ``20260302T090000Z``."""
    match = _DATE.fullmatch(value)
    try:
        day = date(*map(int, match.groups()[:3])) if match else None
    except ValueError:
        day = None
    if match is None or day is None:
        return None, "", ""
    clock = f"{match[4]}:{match[5]}" if match[4] else ""
    zone = "UTC" if match[7] else parameters.get("TZID", "") if clock else ""
    return day, clock, zone


def _day(day: date | None) -> str:
    """Return a day in words and in digits: people search for both."""
    if day is None:
        return ""
    name = list(_DAYS.values())[day.weekday()]
    return f"{name} {day.day} {_MONTHS[day.month - 1]} {day.year} ({day.isoformat()})"


def _rule(value: str) -> str:
    """Return a recurrence rule in words, and as it is written."""
    rule = dict(part.partition("=")[::2] for part in value.upper().split(";"))
    unit = _UNITS.get(rule.get("FREQ", ""))
    if unit is None:
        return value
    interval = rule.get("INTERVAL", "1")
    words = [f"every {unit}" if interval == "1" else f"every {interval} {unit}s"]
    if days := [_weekday(day) for day in rule.get("BYDAY", "").split(",") if day]:
        words.append(f"on {', '.join(days)}")
    if "COUNT" in rule:
        words.append(f"{rule['COUNT']} times")
    if "UNTIL" in rule:
        words.append(f"until {_moment(rule['UNTIL'], {})}")
    return f"{' '.join(words)} ({value})"


def _weekday(day: str) -> str:
    match = _WEEKDAY.fullmatch(day)
    if match is None or match[2] not in _DAYS:
        return day
    number = (match[1] or "").lstrip("+")
    return _ORDINALS.get(number, f"{number} " if number else "") + _DAYS[match[2]]
