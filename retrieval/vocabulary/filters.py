"""Filters restrict the passages that a search returns: typed conditions, written as expressions.

An expression is ``KEY OPERATOR VALUE``:

- ``source=a.md``, ``type=pdf,docx``: one of several values; a value with a comma is quoted;
- ``source=policies/**``: values that begin with this text;
- ``page>=3``, ``page=3..7``, ``modified<2025-01-01``: ranges of numbers and of dates;
- ``!=`` instead of ``=``: passages that do not match.
"""

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from typing import Literal
from uuid import UUID

from twotower.retrieval.vocabulary.errors import ConfigurationError

Kind = Literal["keyword", "integer", "date", "phrase", "user"]
Bound = Literal["gt", "gte", "lt", "lte"]
Bounds = tuple[tuple[Bound, float | str], ...]
Value = str | int

# Keys of every chunk. The metadata of the user's documents adds further keys.
KEYS: Mapping[str, Kind] = {
    "source": "keyword",
    "folder": "keyword",
    "type": "keyword",
    "title": "keyword",
    "headings": "keyword",
    "page": "integer",
    "modified": "date",
}
_EXPRESSION = re.compile(r"\s*([^\s=!<>]+)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*\Z", re.DOTALL)
_OPERATORS: Mapping[str, Bound] = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a payload key. It holds if at least one of the parts that are set matches.

    Attributes
    ----------
    values
        Values, one of which the key must have.
    prefixes
        Texts, with one of which the key's value must begin.
    range
        Bounds within all of which the key's value must lie: numbers, or RFC 3339 times.
    phrase
        Words that the key's value must contain, in this order.
    negated
        True if the condition must not hold.
    """

    key: str
    values: tuple[Value, ...] = ()
    prefixes: tuple[str, ...] = ()
    range: Bounds = ()
    phrase: str = ""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that must all hold; if ``ids`` is set, a point must also be one of them."""

    conditions: tuple[Condition, ...] = ()
    ids: tuple[UUID, ...] | None = None

    def __and__(self, other: "Filter") -> "Filter":
        """Combine two filters, both of which must hold; only one of them may have ids."""
        if self.ids is not None and other.ids is not None:
            raise ValueError("only one of two combined filters may have ids; both have")
        ids = self.ids if other.ids is None else other.ids
        return Filter(self.conditions + other.conditions, ids)


@dataclass(frozen=True, slots=True)
class _Expression:
    """The parts of an expression, and the offsets of operator and value in it."""

    text: str
    key: str
    kind: Kind
    operator: str
    operator_at: int
    value: str
    value_at: int

    def error(self, value: str, at: int, expected: str, examples: str) -> ConfigurationError:
        """Make the error for a value of the wrong type."""
        return ConfigurationError(
            f"filter '{self.text}' has '{value}' at character {at + 1} where {expected} is "
            f"expected, for example {examples}"
        )


def where(**equals: str) -> Filter:
    """Make a filter for keys with given values: ``where(kind="chunk", source="a.md")``."""
    return Filter(tuple(Condition(key, (value,)) for key, value in equals.items()))


def parse_filters(expressions: Iterable[str], user_keys: Iterable[str] = ()) -> Filter:
    """Parse expressions, all of which must hold.

    Parameters
    ----------
    user_keys
        Metadata keys of the collection's documents.

    Raises
    ------
    ConfigurationError
        If an expression is malformed (the message gives the position), has an unknown key (the
        message lists the known ones), or a value of the wrong type.
    """
    known = sorted(set(user_keys))
    return Filter(tuple(_condition(_split(expression, known)) for expression in expressions))


def _split(expression: str, user_keys: list[str]) -> _Expression:
    match = _EXPRESSION.match(expression)
    if match is None or not match[3]:
        raise _incomplete(expression, match)
    key = match[1]
    kind = KEYS.get(key) or ("user" if key in user_keys else None)
    if kind is None:
        own = f", or a key of your documents' metadata ({', '.join(user_keys)})"
        raise ConfigurationError(
            f"filter '{expression}' has the unknown key '{key}' at character {match.start(1) + 1}: "
            f"use one of {', '.join(KEYS)}{own if user_keys else ''}, for example type=pdf"
        )
    return _Expression(expression, key, kind, match[2], match.start(2), match[3], match.start(3))


def _condition(expression: _Expression) -> Condition:
    value, value_at = expression.value, expression.value_at
    name = f"meta.{expression.key}" if expression.kind == "user" else expression.key
    if expression.operator in _OPERATORS:
        bounds = _bounds(expression, expression.operator, value, value_at)
        return Condition(name, range=bounds)
    negated = expression.operator == "!="
    if ends := _range_ends(expression.kind, value):
        low = _bounds(expression, ">=", ends[0], value_at)
        high = _bounds(expression, "<=", ends[1], value_at + len(ends[0]) + 2)
        return Condition(name, range=low + high, negated=negated)
    if expression.kind == "date":
        day = _bounds(expression, ">=", value, value_at)
        day += _bounds(expression, "<=", value, value_at)
        return Condition(name, range=day, negated=negated)
    return _alternatives(expression, name, negated)


def _alternatives(expression: _Expression, name: str, negated: bool) -> Condition:
    kind = expression.kind
    values: list[Value] = []
    prefixes: list[str] = []
    exact: Bounds = ()
    for item in next(csv.reader([expression.value], skipinitialspace=True)):
        value = item.strip()
        if kind == "integer":
            values.append(_whole_number(expression, value))
        elif value.endswith("**") and value != "**":
            prefixes.append(value.removesuffix("**"))
        else:
            values.append(value)
            if kind == "user" and re.fullmatch(r"-?\d{1,18}", value):
                values.append(int(value))
            elif kind == "user" and _is_number(value):
                exact = (("gte", float(value)), ("lte", float(value)))
    return Condition(name, tuple(values), tuple(prefixes), exact, negated=negated)


def _bounds(expression: _Expression, operator: str, value: str, at: int) -> Bounds:
    """Make the bound that an operator and a value describe."""
    bound, key, kind = _OPERATORS[operator], expression.key, expression.kind
    if kind == "keyword":
        raise ConfigurationError(
            f"filter '{expression.text}' has {operator} at character {expression.operator_at + 1}, "
            f"but {key} holds text: > >= < <= need a key of numbers or dates, for example page>=3; "
            f"for text that begins with '{value}', write {key}={value}**"
        )
    zone = None if kind == "date" else UTC
    if kind != "integer" and (moment := _parse_time(value, bound, zone)):
        return ((bound, moment),)
    if kind != "date" and _is_number(value):
        return ((bound, float(value)),)
    number, day = f"{key}>=3", f"{key}>=2025-01-31"
    if kind == "integer":
        raise expression.error(value, at, "a number", number)
    if kind == "date":
        raise expression.error(value, at, "a date", f"{day} or {day}T08:30:00")
    raise expression.error(value, at, "a number or a date", f"{number} or {day}")


def _whole_number(expression: _Expression, value: str) -> int:
    if _is_number(value) and value.lstrip("+-").isdigit():
        return int(value)
    raise expression.error(value, expression.value_at, "a whole number", f"{expression.key}=3")


def _parse_time(text: str, bound: Bound, zone: tzinfo | None = UTC) -> str:
    """Return an RFC 3339 time, or "" if the text is not a date or a time.

    A date means its whole day, so ``<=`` includes the end of the day. ``zone`` is that of days and
    of times without one: ``None`` is the zone of this machine, in which people see when a file was
    changed. Dates that people write into their own metadata have no zone and are kept in UTC.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return ""
    else:
        moment = datetime.combine(day, time.max if bound in ("lte", "gt") else time.min)
    if moment.tzinfo is None:
        try:
            moment = moment.astimezone() if zone is None else moment.replace(tzinfo=zone)
        except (OverflowError, OSError):  # the system knows no zones for the year 1
            moment = moment.replace(tzinfo=UTC)
    return moment.isoformat()


def _range_ends(kind: Kind, text: str) -> tuple[str, str] | None:
    """Split ``LOW..HIGH``; None if the text is not a range."""
    if kind == "keyword" or text.count("..") != 1:
        return None
    low, high = (end.strip() for end in text.split(".."))
    if kind == "user" and not all(
        _parse_time(end, "gte") or _is_number(end) for end in (low, high)
    ):
        return None
    return low, high


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _incomplete(expression: str, match: re.Match[str] | None) -> ConfigurationError:
    """Make the error for an expression without a key, an operator or a value."""
    if match is not None:
        missing, at = "value", match.start(3)
    else:
        key = re.match(r"\s*[^\s=!<>]*\s*", expression)
        at = key.end() if key else 0
        missing = "operator (= != > >= < <=)" if expression[:at].strip() else "key"
    return ConfigurationError(
        f"filter '{expression}' has no {missing} at character {at + 1}: write KEY=VALUE, for "
        "example type=pdf"
    )
