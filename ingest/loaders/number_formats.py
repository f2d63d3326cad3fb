"""Numbers and dates of a workbook as its sheets show them."""

import re
from datetime import date, datetime, time, timedelta

_QUOTED = re.compile(r'"([^"]*)"|\\(.)|_.|\*.')
_BRACKETS = re.compile(r"\[\$([^\]-]*)[^\]]*\]|\[[^\]]*\]")
_DIGITS = re.compile(r"[0#?][0#?,]*(?:\.[0#?]+)?,*|\.[0#?]+")
_DURATION = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)
_PLAIN = frozenset({"", "General", "general", "@", "Standard"})
_LARGEST = 1e15  # beyond it, numbers have no exact digits


def shown(value: object, number_format: str | None) -> str:
    """Return a cell's value as the sheet shows it, in one line.

    Percentages, separators of thousands, decimals, leading zeros, currencies and durations follow
    the number format; dates are ISO 8601, which does not depend on a language.
    """
    text = "" if value is None else str(value)
    if isinstance(value, bool):
        text = text.upper()
    elif isinstance(value, datetime):
        text = value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    elif isinstance(value, date | time):
        text = value.isoformat()
    elif isinstance(value, timedelta):
        text = _duration(value)
    elif isinstance(value, int | float):
        text = _number(value, number_format or "")
    return " ".join(text.split())


def _duration(value: timedelta) -> str:
    minutes, seconds = divmod(round(value.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}" + (f":{seconds:02}" if seconds else "")


def _number(value: float, number_format: str) -> str:
    if number_format in _PLAIN or abs(value) >= _LARGEST or value != value:  # noqa: PLR0124 - NaN
        return _plain(value)
    if _DURATION.search(number_format):
        return _duration(timedelta(days=value))
    section = _section(value, number_format)
    prefix_currency = " ".join(match[1] for match in _BRACKETS.finditer(section) if match[1])
    section = _BRACKETS.sub(lambda match: match[1] or "", section)
    literal = _QUOTED.sub(lambda match: match[1] or match[2] or "", section)
    digits = _DIGITS.search(_QUOTED.sub("", section))
    if digits is None or re.search(r"[eE][+-]|/", section):
        return " ".join(filter(None, (prefix_currency, _plain(value))))
    number = abs(value) * (100 if "%" in section else 1)
    pattern = digits[0]
    unscaled = pattern.rstrip(",")
    number /= 1000 ** (len(pattern) - len(unscaled))  # a comma at the end stands for thousands
    whole, _, decimals = unscaled.partition(".")
    thousands = "," if re.search(r"[0#?],[0#?]", whole) else ""
    text = f"{number:{thousands}.{len(decimals)}f}"
    optional = len(decimals) - len(decimals.rstrip("#?"))
    for _ in range(optional):
        text = text.removesuffix("0")
    text = text.rstrip(".") if decimals else text
    least = whole.count("0")
    if not thousands and least:
        integer, point, rest = text.partition(".")
        text = integer.zfill(least) + point + rest
    before, _, after = literal.partition(pattern)
    sign = "-" if value < 0 and "-" not in before and "(" not in before else ""
    return " ".join(f"{before}{sign}{text}{after if pattern in literal else ''}".split())


def _section(value: float, number_format: str) -> str:
    """Return the part of a format for positive, negative or zero values."""
    sections = re.split(r';(?=(?:[^"]*"[^"]*")*[^"]*$)', number_format[:500])
    if value < 0 and len(sections) > 1:
        return sections[1] or sections[0]
    if value == 0 and len(sections) > 2:  # noqa: PLR2004 - the third section is for zero
        return sections[2] or sections[0]
    return sections[0]


def _plain(value: float) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
        return str(int(value))
    return repr(float(f"{value:.15g}")) if isinstance(value, float) else str(value)
