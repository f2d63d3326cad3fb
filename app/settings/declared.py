"""The declarations of all settings in one form: those of the groups, and the search options.

The loader, `twotower config` and the README's table read them from here.
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from twotower.app.settings.groups import GROUPS, Group
from twotower.retrieval.legs import LEGS
from twotower.retrieval.search.options import OPTIONS, Option
from twotower.retrieval.vocabulary.errors import ConfigurationError

PREFIX = "TWOTOWER_"
SEARCH = "search"
"""Name of the section, and of the field of `Settings`, that holds search options."""

Kind = Literal["text", "path", "secret", "whole number", "number", "boolean", "list", "table"]

_NO_SETTING = "where"  # the filter of a search depends on the question
_REPLACED = {"dense_weight": "weights"}
_TOML_TYPES: dict[Kind, type | tuple[type, ...]] = {
    "whole number": int,
    "number": (int, float),
    "boolean": bool,
    "list": list,
    "table": dict,
}


@dataclass(frozen=True, slots=True)
class Setting:
    """The declaration of one setting.

    Attributes
    ----------
    name
        Field of `Settings`, or name of a search option.
    section, key
        Table and key in ``twotower.toml``.
    least, most, above
        Smallest and largest value, and a value that must be exceeded; ``None`` where there is no
        bound.
    option
        Declaration of the search option; ``None`` for a field of `Settings`.
    """

    name: str
    section: str
    key: str
    default: Any
    description: str
    kind: Kind
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    above: float | None = None
    option: Option | None = None

    @property
    def variable(self) -> str:
        """Environment variable that sets it."""
        return PREFIX + self.name.upper()

    @property
    def path(self) -> str:
        """Section and key, such as ``ui.port``."""
        return f"{self.section}.{self.key}"

    @property
    def allowed(self) -> str:
        """Values that it takes, as a phrase for people."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind == "list":
            return f"a list of different legs ({', '.join(LEGS)}) that contains dense"
        if self.kind == "table":
            return f"a weight from 0 to 1 for each leg ({', '.join(LEGS)}), such as dense=0.7"
        if self.kind == "boolean":
            return "true or false"
        if self.kind in ("whole number", "number"):
            return f"a {self.kind}{self._range}"
        return "text"

    @property
    def _range(self) -> str:
        if self.above is not None:
            return f" greater than {self.above:,}"
        if self.least is None:
            return ""
        if self.most is None:
            return f" of at least {self.least:,}"
        return f" from {self.least:,} to {self.most:,}"

    def has_toml_type(self, value: object) -> bool:
        """Whether a value in a TOML file has the type of this setting."""
        expected = _TOML_TYPES.get(self.kind, str)
        if self.kind == "table" and isinstance(value, dict):
            return not any(isinstance(number, str) for number in value.values())
        return isinstance(value, expected) and (self.kind == "boolean") == isinstance(value, bool)

    def convert(self, value: Any) -> Any:
        """Convert a value of a search option to the option's type, and check it.

        Raises
        ------
        ValueError
            If it has another type, or is outside the range or the choices.
        """
        assert self.option is not None  # the fields of Settings are converted by pydantic
        converted = _CONVERTERS[self.kind](value)
        try:
            self.option.check(converted)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return converted


def declared() -> dict[str, Setting]:
    """Return every setting by its name, in the order of the groups."""
    settings: dict[str, Setting] = {}
    for group in GROUPS:
        own = group.__annotations__
        if SEARCH in own:
            settings |= {o.name: _of_option(o) for o in OPTIONS.values() if o.name != _NO_SETTING}
        for name, field in group.model_fields.items():
            if name in own and name != SEARCH:
                settings[name] = _of_field(name, field, group)
    return settings


def describe_section(section: str) -> str:
    """Return the description of a section."""
    group = next(group for group in GROUPS if group.section == section)
    return (group.__doc__ or "").splitlines()[0]


def nearest(name: str, settings: Iterable[Setting], section: str = "") -> Setting | None:
    """Find the setting that an unknown name most likely means.

    Parameters
    ----------
    name
        Name of a setting, or a key in a section.
    section
        Section of the key; its keys are preferred to equally named keys of other sections.
    """
    settings = list(settings)
    by_name = {setting.name: setting for setting in settings}
    here = {setting.key: setting for setting in settings if setting.section == section}
    elsewhere = {setting.key: setting for setting in settings}
    name = name.lower()
    if name in _REPLACED:
        return by_name.get(_REPLACED[name])
    if name in by_name:
        return by_name[name]
    for known in (here, elsewhere | by_name):
        if near := difflib.get_close_matches(name, known, n=1):
            return known[near[0]]
    return None


def _of_field(name: str, field: FieldInfo, group: type[Group]) -> Setting:
    extra = field.json_schema_extra
    key = extra.get("key") if isinstance(extra, Mapping) else None
    bounds = {
        bound: getattr(limit, bound)
        for limit in field.metadata
        for bound in ("ge", "le", "gt")
        if hasattr(limit, bound)
    }
    literal = get_origin(field.annotation) is Literal
    return Setting(
        name,
        group.section,
        str(key or name.removeprefix(f"{group.section}_")),
        field.default,
        field.description or "",
        "text" if literal else _kind(field.annotation),
        get_args(field.annotation) if literal else (),
        bounds.get("ge"),
        bounds.get("le"),
        bounds.get("gt"),
    )


def _of_option(option: Option) -> Setting:
    return Setting(
        option.name,
        SEARCH,
        option.name,
        option.default,
        option.help,
        _kind(option.type),
        option.choices,
        option.least,
        option.most,
        option=option,
    )


def _kind(annotation: Any) -> Kind:
    """Tell the kind of a type, of an optional one, or of a tuple of text."""
    kinds: dict[Any, Kind] = {
        bool: "boolean",
        int: "whole number",
        float: "number",
        str: "text",
        Path: "path",
        SecretStr: "secret",
        tuple: "list",
        dict: "table",
    }
    types = get_args(annotation) if NoneType in get_args(annotation) else (annotation,)
    return kinds[get_origin(types[0]) or types[0]]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004 - the loader reports every ValueError alike
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise ValueError("not a whole number")  # noqa: TRY004 - as above
    return int(value)


def _number(value: Any) -> float:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        raise ValueError("not a number")  # noqa: TRY004 - as above
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _weights(value: Any) -> dict[str, float]:
    """Read weights by leg: a table, or text such as ``dense=0.7,bm25=0.3``."""
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        value = {leg.strip(): weight for leg, _, weight in pairs}
        if len(value) < len(pairs):
            raise ValueError("a leg has two weights")
    if not isinstance(value, Mapping) or not LEGS.keys() >= value.keys():
        raise ValueError("not weights of legs")
    return {leg: _number(weight) for leg, weight in value.items()}


_CONVERTERS = {"text": _text, "whole number": _whole, "number": _number, "table": _weights}
