"""Access of the page's visitors to this machine: who reaches the page, which folders it reads."""

import ipaddress
from pathlib import Path

from twotower.app.settings import Settings
from twotower.app.wiring import user_path
from twotower.retrieval.vocabulary.errors import ConfigurationError


def is_loopback(host: str) -> bool:
    """Return True for a host that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """What a visitor of the page may read on the machine that serves it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def local_only(self) -> bool:
        """True if only people at this machine reach the page; they may read any folder."""
        return is_loopback(self._settings.ui_host)

    def folder(self, text: str) -> Path:
        """Read a path that a visitor types.

        Raises
        ------
        ConfigurationError
            If there is no such file or folder, or the page may not read it.
        """
        if not text.strip():
            raise ConfigurationError("the path is empty: name a folder, such as ~/Documents")
        allowed = self._settings.ui_folder
        try:
            path = user_path(text.strip())
            inside = allowed is None or path.resolve().is_relative_to(allowed.resolve())
            exists = path.exists()
        except (OSError, ValueError) as error:  # too long, or a NUL in it
            raise ConfigurationError(f"{text[:80]}: this is not a path; check it") from error
        if allowed is None and not self.local_only:
            raise ConfigurationError(
                "this page is open to other machines, so it reads no folders of this machine: set "
                "TWOTOWER_UI_FOLDER to the folder that it may read"
            )
        if not inside:
            raise ConfigurationError(
                f"{text}: the page may read only folders below {allowed}: choose one of them"
            )
        if not exists:
            raise ConfigurationError(f"{text}: no such file or folder; check the path")
        return path
