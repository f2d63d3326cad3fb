"""Values of settings as text, and an example of ``twotower.toml``."""

import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from twotower.app.settings.declared import Setting, declared, describe_section
from twotower.app.settings.groups import Settings

_WIDTH = 100


def value_in_force(settings: Settings, setting: Setting) -> Any:
    """Return the value of a setting; a search option that is not set has its default."""
    if setting.option:
        return settings.search.get(setting.name, setting.default)
    return getattr(settings, setting.name)


def plain(value: Any) -> Any:
    """Turn a value into one for JSON; a secret, also in a URL, is not shown."""
    if isinstance(value, SecretStr):
        return "set" if value.get_secret_value() else "not set"
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return re.sub(r"//[^/@\s]*@", "//***@", str(value))


def text(value: Any) -> str:
    """Show a value in one line for people; nothing is shown for an empty one."""
    value = plain(value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={text(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ",".join(map(text, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def default_text(setting: Setting) -> str:
    """Show the default of a setting."""
    return "" if setting.kind == "secret" else text(setting.default)


def example() -> str:
    """Write a complete ``twotower.toml`` in which every key is commented out."""
    lines = [
        "# Settings of twotower. The values are the defaults: remove the # before a key to set it.",
        "# Empty text keeps the default. `twotower config` prints which settings are in force.",
    ]
    section = ""
    for setting in declared().values():
        if setting.section != section:
            section = setting.section
            lines += ["", f"# {describe_section(section)}", f"[{section}]"]
        comment = f"{setting.description} ({setting.variable})"
        lines += textwrap.wrap(comment, _WIDTH, initial_indent="# ", subsequent_indent="# ")
        lines.append(f"# {setting.key} = {_toml(setting)}")
    return "\n".join(lines) + "\n"


def _toml(setting: Setting) -> str:
    if setting.kind == "secret" or setting.default is None:
        return '""'
    value = plain(setting.default)
    return "{}" if value == {} else json.dumps(value)
