"""The settings: what they are, and where their values come from.

::

    defaults < twotower.toml < environment (TWOTOWER_...) < options of the command line
"""

from twotower.app.settings.declared import PREFIX, Setting, declared, describe_section
from twotower.app.settings.groups import Settings
from twotower.app.settings.loading import (
    LoadedSettings,
    Origin,
    load_settings,
    load_with_origins,
    settings_file,
)
from twotower.app.settings.toml_file import user_file

__all__ = [
    "PREFIX",
    "LoadedSettings",
    "Origin",
    "Setting",
    "Settings",
    "declared",
    "describe_section",
    "load_settings",
    "load_with_origins",
    "settings_file",
    "user_file",
]
