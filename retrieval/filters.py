"""Which passages a search may return: typed conditions, and the expressions people write.

An expression is ``KEY OP VALUE``:

- ``source=a.md``, ``type=pdf,docx``: one of several values; in quotes where a value has a comma;
- ``source=policies/**``: what begins so;
- ``page>=3``, ``page=3..7``, ``modified<2025-01-01``: ranges of numbers and of dates;
- ``!=`` instead of ``=``: everything else.
"""

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from uuid import UUID

from retrieval.errors import ConfigurationError

Kind = Literal["keyword", "integer", "date", "phrase", "user"]
Bound = Literal["gt", "gte", "lt", "lte"]
Value = str | int

# What every chunk can be filtered on; a person's own metadata comes beside them.
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
    """One condition on a payload key; the parts that are given are alternatives.

    Attributes
    ----------
    values
        The key has one of these.
    prefixes
        The key begins with one of these.
    range
        The key lies within all of these bounds: numbers, or RFC 3339 times.
    phrase
        The key has these words, in this order.
    negated
        The condition must not hold.
    """

    key: str
    values: tuple[Value, ...] = ()
    prefixes: tuple[str, ...] = ()
    range: tuple[tuple[Bound, float | str], ...] = ()
    phrase: str = ""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """All conditions hold, and the point is one of ``ids`` where they are given."""

    conditions: tuple[Condition, ...] = ()
    ids: tuple[UUID, ...] | None = None

    def __and__(self, other: "Filter") -> "Filter":
        """Both hold; only one of them may name ids."""
        if self.ids is not None and other.ids is not None:
            raise ValueError("both filters name ids")
        ids = self.ids if other.ids is None else other.ids
        return Filter(self.conditions + other.conditions, ids)


def where(**equals: str) -> Filter:
    """Filter on keys that have a value: ``where(kind="chunk", source="a.md")``."""
    return Filter(tuple(Condition(key, (value,)) for key, value in equals.items()))


def parse_filters(expressions: Iterable[str], user_keys: Iterable[str] = ()) -> Filter:
    """Read expressions, all of which have to hold.

    Parameters
    ----------
    user_keys
        The metadata keys that the collection's documents have.

    Raises
    ------
    ConfigurationError
        For a malformed expression (it says where), an unknown key (it names the known ones), or a
        value of the wrong type.
    """
    known = sorted(set(user_keys))
    return Filter(tuple(_parsed(expression, known) for expression in expressions))


def _parsed(expression: str, user_keys: list[str]) -> Condition:
    match = _EXPRESSION.match(expression)
    if match is None or not match[3]:
        raise _malformed(expression, match)
    key, operator, text = match[1], match[2], match[3]
    kind = KEYS.get(key) or ("user" if key in user_keys else None)
    if kind is None:
        own = f"; of your metadata: {', '.join(user_keys)}" if user_keys else ""
        raise ConfigurationError(f"filter on unknown key '{key}'; known are {', '.join(KEYS)}{own}")
    name = f"meta.{key}" if kind == "user" else key
    if operator in _OPERATORS:
        return Condition(name, range=_half_range(expression, kind, operator, text, match.start(3)))
    negated = operator == "!="
    ends = _ends(kind, text)
    if ends:
        low = _half_range(expression, kind, ">=", ends[0], match.start(3))
        high = _half_range(expression, kind, "<=", ends[1], match.start(3) + len(ends[0]) + 2)
        return Condition(name, range=low + high, negated=negated)
    if kind == "date":
        day = _half_range(expression, kind, ">=", text, match.start(3))
        day += _half_range(expression, kind, "<=", text, match.start(3))
        return Condition(name, range=day, negated=negated)
    return _alternatives(expression, name, kind, text, negated, match.start(3))


def _alternatives(
    expression: str, name: str, kind: Kind, text: str, negated: bool, at: int
) -> Condition:
    values: list[Value] = []
    prefixes: list[str] = []
    exact: tuple[tuple[Bound, float | str], ...] = ()
    for item in next(csv.reader([text], skipinitialspace=True)):
        value = item.strip()
        if kind == "integer":
            values.append(int(_number(expression, value, at, whole=True)))
        elif value.endswith("**") and value != "**":
            prefixes.append(value.removesuffix("**"))
        else:
            values.append(value)
            if kind == "user" and re.fullmatch(r"-?\d{1,18}", value):
                values.append(int(value))
            elif kind == "user" and _is_number(value):
                exact = (("gte", float(value)), ("lte", float(value)))
    return Condition(name, tuple(values), tuple(prefixes), exact, negated=negated)


def _half_range(
    expression: str, kind: Kind, operator: str, text: str, at: int
) -> tuple[tuple[Bound, float | str], ...]:
    bound = _OPERATORS[operator]
    if kind == "integer":
        return ((bound, _number(expression, text, at)),)
    if kind == "keyword":
        raise ConfigurationError(
            f"filter '{expression}': a range needs a key of numbers or dates, such as page or "
            "modified; use = with ** for what begins so"
        )
    moment = _moment(text, bound)
    if moment:
        return ((bound, moment),)
    if kind == "user":
        return ((bound, _number(expression, text, at)),)
    raise ConfigurationError(
        f"filter '{expression}': '{text}' at character {at + 1} is no date; write 2025-01-31 or "
        "2025-01-31T08:30:00"
    )


def _number(expression: str, text: str, at: int, whole: bool = False) -> float:
    if _is_number(text) and not (whole and not text.lstrip("+-").isdigit()):
        return int(text) if whole else float(text)
    raise ConfigurationError(
        f"filter '{expression}': '{text}' at character {at + 1} is no "
        f"{'whole number' if whole else 'number'}"
    )


def _moment(text: str, bound: Bound) -> str:
    """A time for the engine; a date alone is its whole day, so ``<=`` means until its end."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return ""
    else:
        moment = datetime.combine(day, time(), UTC)
        if bound in ("lte", "gt"):
            moment += timedelta(days=1) - timedelta(microseconds=1)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _ends(kind: Kind, text: str) -> tuple[str, str] | None:
    if kind == "keyword" or text.count("..") != 1:
        return None
    low, high = (end.strip() for end in text.split(".."))
    if kind == "user" and not all(_moment(e, "gte") or _is_number(e) for e in (low, high)):
        return None
    return low, high


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _malformed(expression: str, match: re.Match[str] | None) -> ConfigurationError:
    if match is not None:
        where_ = f"a value is missing at character {match.start(3) + 1}"
    else:
        found = re.match(r"\s*[^\s=!<>]*\s*", expression)
        at = found.end() if found else 0
        name = "a key" if not expression[:at].strip() else "one of = != > >= < <="
        where_ = f"{name} is missing at character {at + 1}"
    return ConfigurationError(
        f"filter '{expression}' is malformed: {where_}; write KEY=VALUE, such as type=pdf"
    )
