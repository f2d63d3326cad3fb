"""The errors a caller can act on, divided by what to do next.

::

    TwoTowerError
    ├── ConfigurationError      wrong usage or settings: correct and call again    (exit 2)
    │   ├── MissingExtra        an optional package is not installed
    │   └── IndexMismatch       the collection was built with other settings
    ├── DocumentError           one document cannot be read: report it, go on      (exit 1)
    └── ServiceError            the store or a service is not available: try later (exit 3)
        └── InUse               another process has the collection open, or works on it

A message says what was asked, what was observed, and the remedy. Programming mistakes stay
``ValueError`` and ``TypeError``.
"""


class TwoTowerError(Exception):
    """Base of every error this project raises on purpose."""

    exit_code = 1


class ConfigurationError(TwoTowerError):
    """Wrong usage or settings; the same call fails again until they are corrected."""

    exit_code = 2


class MissingExtra(ConfigurationError):
    """An optional package that this call needs is not installed."""


class IndexMismatch(ConfigurationError):
    """A collection was built with settings that differ from the present ones."""


class DocumentError(TwoTowerError):
    """One document cannot be read; the others are not affected.

    Parameters
    ----------
    reason
        One line for the person who owns the file.
    kind
        A stable word for scripts, such as ``"encrypted"`` or ``"empty"``.
    """

    exit_code = 1

    def __init__(self, reason: str, kind: str = "unreadable") -> None:
        super().__init__(reason)
        self.kind = kind

    def __reduce__(self) -> tuple[type["DocumentError"], tuple[str, str]]:
        return (type(self), (str(self), self.kind))  # crosses the worker process boundary whole


class ServiceError(TwoTowerError):
    """The store or a service is not available now; a later try may succeed."""

    exit_code = 3


class InUse(ServiceError):
    """Another process has the collection open, or does work that bears no second one.

    Parameters
    ----------
    brief
        Whether it lets go in a moment, so that waiting is worth it.
    """

    def __init__(self, message: str, brief: bool = False) -> None:
        super().__init__(message)
        self.brief = brief
