"""Errors, grouped by what the caller can do next.

::

    TwoTowerError
    ├── ConfigurationError      usage or settings are wrong: correct them and try again   (exit 2)
    │   ├── MissingExtra        an optional package is not installed
    │   └── IndexMismatch       the collection was built with different settings
    ├── DocumentError           one document cannot be read: report it and continue       (exit 1)
    └── ServiceError            the store or a service is not available: try again later  (exit 3)
        └── InUse               another process is using the collection

A message says what failed, what was observed, what was expected, and the remedy. Programming
mistakes are ``ValueError`` and ``TypeError``.
"""


class TwoTowerError(Exception):
    """Base class of every error that this project raises on purpose."""

    exit_code = 1


class ConfigurationError(TwoTowerError):
    """Usage or settings are wrong; the same call fails until they are corrected."""

    exit_code = 2


class MissingExtra(ConfigurationError):
    """An optional package that the call needs is not installed."""


class IndexMismatch(ConfigurationError):
    """A collection was built with settings that differ from the current ones."""


class DocumentError(TwoTowerError):
    """One document cannot be read; other documents are not affected.

    Parameters
    ----------
    reason
        One line for the owner of the file.
    kind
        Stable word for scripts, such as ``"encrypted"`` or ``"empty"``.
    """

    exit_code = 1

    def __init__(self, reason: str, kind: str = "unreadable") -> None:
        super().__init__(reason)
        self.kind = kind

    def __reduce__(self) -> tuple[type["DocumentError"], tuple[str, str]]:
        return (type(self), (str(self), self.kind))  # pickling keeps `kind`: workers raise this


class ServiceError(TwoTowerError):
    """The store or a service is not available now; a later attempt may succeed."""

    exit_code = 3


class InUse(ServiceError):
    """Another process has the collection open, or does work that only one process may do at a time.

    Parameters
    ----------
    short_lived
        True if the other process will soon be done, so that waiting is worthwhile.
    """

    def __init__(self, message: str, short_lived: bool = False) -> None:
        super().__init__(message)
        self.short_lived = short_lived
