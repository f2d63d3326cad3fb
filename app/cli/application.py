"""The application of one command, from the settings and the command's options."""

from twotower.app.cli.common import chosen_config
from twotower.app.settings import load_settings
from twotower.app.wiring import Application


def load_application(**overrides: str | int | None) -> Application:
    """Make the application; ``overrides`` that are not None override settings of their names."""
    return Application(load_settings(None, file=chosen_config(), **overrides))
