"""``twotower.toml``: where it is looked for, what it sets, and on which line."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from twotower.app.settings.declared import Setting, nearest
from twotower.retrieval.vocabulary.errors import ConfigurationError

NAME = "twotower.toml"
_MODELS = ("encoder", "cross_encoder")  # each a name or a folder
_SHOWN = 80  # characters of a value in a message


def user_file() -> Path:
    """Return the path of the file in the user's configuration folder; it need not exist."""
    return platformdirs.user_config_path("twotower", appauthor=False) / NAME


def find_file() -> Path | None:
    """Find the file that is read by default: in the working directory, else the user's own."""
    for path in (Path(NAME), user_file()):
        try:
            path.stat()
        except OSError:  # there is none, or the folder is closed to this user
            continue
        return path
    return None


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A file of settings that was read."""

    path: Path
    text: str
    tables: Mapping[str, Any]

    def line_of(self, *keys: str) -> int:
        """Find the line on which a section, or a key of it, is set; 1 is the first.

        `tomllib` gives no line numbers. A key is set on the line after the longest beginning of the
        file that is TOML and does not contain the key, which bisection finds.
        """
        lines = self.text.split("\n")
        before, after = 0, len(lines)
        while after - before > 1:
            middle = (before + after) // 2
            for end in range(middle, after):
                tables = _parse_or_none("\n".join(lines[:end]))
                if tables is not None:  # not inside a value of several lines
                    break
            else:
                end, tables = middle, self.tables
            if _contains(tables, keys):
                after = middle
            else:
                before = end
        return before + 1

    def error(self, message: str, *keys: str) -> ConfigurationError:
        """Return an error that names the file and the line of a section or key."""
        return ConfigurationError(f"{self.path}, line {self.line_of(*keys)}: {message}")

    def values(self, settings: Mapping[str, Setting]) -> Iterator[tuple[Setting, Any]]:
        """Yield each setting that the file sets, with its value; empty text sets nothing.

        Raises
        ------
        ConfigurationError
            For an unknown section or key, or a value of the wrong type.
        """
        known = {(setting.section, setting.key): setting for setting in settings.values()}
        sections = dict.fromkeys(setting.section for setting in settings.values())
        for section, table in self.tables.items():
            if section not in sections:
                raise self.error(_unknown_section(section, table, settings, sections), section)
            if not isinstance(table, dict):
                raise self.error(f"{section} is a section: write [{section}]", section)
            for key, value in table.items():
                setting = known.get((section, key))
                if setting is None:
                    near = nearest(key, settings.values(), section)
                    hint = f"did you mean {near.path}?" if near else _see_config(section)
                    message = f"unknown key {_name(section)}.{_name(key)}: {hint}"
                    raise self.error(message, section, key)
                if not setting.has_toml_type(value):
                    shown = "not text" if setting.kind == "secret" else show(value)
                    raise self.error(
                        f"{setting.path} is {shown}: it must be {setting.allowed}", section, key
                    )
                if value not in ("", {}):
                    yield setting, self._from_here(setting, value)

    def _from_here(self, setting: Setting, value: Any) -> Any:
        """Resolve a relative path from the folder of the file.

        A model is a path if it starts with a dot or a tilde; else it is a name.
        """
        is_model = setting.name in _MODELS and value.startswith((".", "~"))
        if setting.kind != "path" and not is_model:
            return value
        try:
            path = self.path.parent / Path(value).expanduser()
        except RuntimeError as error:
            raise self.error(
                f"{setting.path} is {value!r}: there is no such user; write the path out",
                setting.section,
                setting.key,
            ) from error
        return str(path.absolute()) if is_model else path


def read_file(path: Path) -> TomlFile:
    """Read a file of settings.

    Raises
    ------
    ConfigurationError
        If it does not exist, cannot be read, or is not TOML; the last with the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path}: there is no such file of settings; `twotower config --example` prints one"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{path}: the file of settings cannot be read: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationError(
            f"{path}, line {line}: the file is not UTF-8 text; save it as UTF-8"
        ) from error
    try:
        return TomlFile(path, text, _parse(text))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}{_not_toml(error, text)}") from error


def _not_toml(error: Exception, text: str) -> str:
    """Describe a syntax error, with the line that `tomllib` names in its message."""
    message = "too deeply nested" if isinstance(error, RecursionError) else str(error)
    match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = ""
    if match:
        message = message[: match.start()]
        line = f", line {match[1] or len(text.splitlines())}"
    return (
        f"{line}: this is not TOML ({message[:1].lower()}{message[1:]}); write settings as "
        f'key = value, and text in "quotes"'
    )


def _parse(text: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - most runs have no file

    return tomllib.loads(text)


def _parse_or_none(text: str) -> Mapping[str, Any] | None:
    try:
        return _parse(text)
    except ValueError:
        return None


def _contains(tables: Any, keys: tuple[str, ...]) -> bool:
    for key in keys:
        if not isinstance(tables, dict) or key not in tables:
            return False
        tables = tables[key]
    return True


def _unknown_section(
    section: str, table: Any, settings: Mapping[str, Setting], sections: Mapping[str, None]
) -> str:
    if not isinstance(table, dict):
        near = nearest(section, settings.values())
        hint = f"did you mean {near.path}?" if near else "`twotower config` lists the keys"
        return f"unknown key {_name(section)} outside a section: {hint}"
    close = difflib.get_close_matches(section.lower(), sections, n=1)
    hint = f"did you mean [{close[0]}]?" if close else f"the sections are {', '.join(sections)}"
    return f"unknown section [{_name(section)}]: {hint}"


def _name(key: str) -> str:
    """Quote a key that is not a plain word; it may hold control characters."""
    return key if re.fullmatch(r"[\w-]{1,80}", key) else show(key)


def _see_config(section: str) -> str:
    return f"`twotower config` lists the keys of [{section}]"


def show(value: Any) -> str:
    """Show a value in a message, in one short line."""
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
