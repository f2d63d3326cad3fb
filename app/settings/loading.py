"""Settings from their sources: defaults, ``twotower.toml``, the environment, and overrides.

This is the only place that reads the environment.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from twotower.app.settings.declared import PREFIX, SEARCH, Setting, declared, nearest
from twotower.app.settings.groups import Settings
from twotower.app.settings.toml_file import NAME, TomlFile, find_file, read_file, show
from twotower.retrieval.vocabulary.errors import ConfigurationError

CONFIG_VARIABLE = "TWOTOWER_CONFIG"
_FOR_TESTS = "TWOTOWER_TEST_"  # read by the test suite, never by the program


@dataclass(frozen=True, slots=True)
class Origin:
    """Source of the value of a setting.

    Attributes
    ----------
    kind
        ``option`` is an option of the command line, or an argument of `load_settings`.
    name
        Environment variable, or section and key in the file; empty for the other kinds.
    """

    kind: Literal["default", "file", "environment", "option"]
    name: str = ""
    file: TomlFile | None = None

    @property
    def line(self) -> int | None:
        """Line in the file; ``None`` if the value does not come from a file."""
        return self.file.line_of(*self.name.split(".")) if self.file else None

    def __str__(self) -> str:
        """Describe the source for people."""
        if self.file:
            return f"{self.file.path}, line {self.line}"
        return self.name or self.kind


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, the origin of each by its name, and the path of the file that was read, if any."""

    settings: Settings
    origins: Mapping[str, Origin]
    file: Path | None


def load_settings(
    environment: Mapping[str, str] | None = None,
    *,
    file: str | Path | None = None,
    **overrides: object,
) -> Settings:
    """Load the settings; `load_with_origins` describes the parameters."""
    return load_with_origins(environment, file=file, **overrides).settings


def load_with_origins(
    environment: Mapping[str, str] | None = None,
    *,
    file: str | Path | None = None,
    **overrides: object,
) -> LoadedSettings:
    """Load the settings from the defaults, the file, the environment and overrides; the last wins.

    Parameters
    ----------
    environment
        Environment variables; ``None`` uses those of the process. With a mapping, a file is read
        only if ``file`` or the mapping names one.
    file
        TOML file to read in place of the one that `settings_file` finds.
    overrides
        Settings and search options by name; ``None`` overrides nothing.

    Raises
    ------
    ConfigurationError
        For an unknown name (the nearest one is proposed), a bad value, or a file that cannot be
        read.
    """
    settings = declared()
    path = settings_file(environment, file)
    in_working_directory = path == Path(NAME) and not _named_file(environment, file)
    values: dict[str, Any] = {}
    origins = dict.fromkeys(settings, Origin("default"))
    for setting, value, origin in (
        *_from_file(path, settings, in_working_directory),
        *_from_environment(os.environ if environment is None else environment, settings),
        *_from_overrides(overrides, settings),
    ):
        values[setting.name] = value
        origins[setting.name] = origin
    return LoadedSettings(_validate(values, settings, origins), origins, path)


def settings_file(
    environment: Mapping[str, str] | None = None, file: str | Path | None = None
) -> Path | None:
    """Choose the file of settings.

    ``file`` wins over the variable TWOTOWER_CONFIG. Without either, it is the ``twotower.toml`` in
    the working directory, else the one in the user's configuration folder, else none.
    """
    if named := _named_file(environment, file):
        return named
    return find_file() if environment is None else None


def _named_file(environment: Mapping[str, str] | None, file: str | Path | None) -> Path | None:
    if file is not None:
        return Path(file)
    named = (os.environ if environment is None else environment).get(CONFIG_VARIABLE)
    return Path(named) if named else None


_Values = Iterator[tuple[Setting, Any, Origin]]


def _from_file(
    path: Path | None, settings: Mapping[str, Setting], in_working_directory: bool
) -> _Values:
    """Yield the settings of a file.

    A file that only happens to be in the working directory may not permit a model to run code: it
    may have come with a download.
    """
    if path is not None:
        file = read_file(path)
        for setting, value in file.values(settings):
            if in_working_directory and setting.name == "trust_remote_code" and value:
                raise file.error(
                    f"{setting.path} is refused in the file of the working directory, which may be "
                    f"someone else's: set {setting.variable}=true, or name the file in "
                    f"{CONFIG_VARIABLE}",
                    setting.section,
                    setting.key,
                )
            yield setting, value, Origin("file", setting.path, file)


def _from_environment(environment: Mapping[str, str], settings: Mapping[str, Setting]) -> _Values:
    """Yield the settings in the environment; an empty variable counts as not set."""
    known = {setting.variable: setting for setting in settings.values()}
    for variable, text in sorted(environment.items()):
        name = variable.upper()
        if setting := known.get(name):
            if text:
                yield setting, text, Origin("environment", setting.variable)
        elif name.startswith(PREFIX) and name != CONFIG_VARIABLE:
            if name.startswith(_FOR_TESTS):
                continue
            near = nearest(name.removeprefix(PREFIX), settings.values())
            hint = f"did you mean {near.variable}?" if near else "`twotower config` lists them"
            raise ConfigurationError(f"unknown setting {variable} in the environment: {hint}")


def _from_overrides(overrides: Mapping[str, Any], settings: Mapping[str, Setting]) -> _Values:
    flat = {name: value for name, value in overrides.items() if name != SEARCH}
    for name, value in (flat | dict(overrides.get(SEARCH) or {})).items():
        if name not in settings:
            near = nearest(name, settings.values())
            hint = f"did you mean {near.name}?" if near else "`twotower config` lists them"
            raise ConfigurationError(f"unknown setting {name}: {hint}")
        if value is not None:
            yield settings[name], value, Origin("option")


def _validate(
    values: Mapping[str, Any], settings: Mapping[str, Setting], origins: Mapping[str, Origin]
) -> Settings:
    """Convert and check every value; the fields by pydantic, the options by their declarations."""
    search = {}
    for name in [name for name in values if settings[name].option]:
        try:
            search[name] = settings[name].convert(values[name])
        except ValueError as error:
            raise _bad_value(settings[name], values[name], origins[name]) from error
    fields = {name: value for name, value in values.items() if name not in search}
    try:
        return Settings.model_validate(fields | {SEARCH: search})
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise _bad_value(settings[name], values[name], origins[name]) from error


def _bad_value(setting: Setting, value: Any, origin: Origin) -> ConfigurationError:
    shown = "not text" if setting.kind == "secret" else show(value)
    name = setting.name if origin.kind == "option" else origin.name
    message = f"{name} is {shown}: it must be {setting.allowed}"
    if origin.file:
        return origin.file.error(message, setting.section, setting.key)
    return ConfigurationError(f"the setting {message}")
