"""Which files could not be ingested, and why: kept until they can, for the list of documents."""

import json
import os
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from ingest.report import FileOutcome
from retrieval.errors import ServiceError

_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be ingested.

    Attributes
    ----------
    path
        Where it lies, to try it again.
    at
        When that was, RFC 3339 in UTC.
    """

    source: str
    path: str
    kind: str
    reason: str
    at: str


class Failures:
    """The failures of one collection, in a file of the data directory."""

    def __init__(self, data_dir: Path, collection: str) -> None:
        self._file = data_dir / "failures" / f"{collection}.json"

    def read(self) -> dict[str, Failure]:
        """By the file's path, or its source where that is unknown; a torn list tells nothing."""
        try:
            entries = json.loads(self._file.read_text(encoding="utf-8"))
            failures = (Failure(**entry) for entry in entries)
            return {failure.path or failure.source: failure for failure in failures}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def record(self, outcomes: Iterable[tuple[FileOutcome, Path | None]], at: str) -> None:
        """Keep what failed, and drop what did not: outcomes, each with the file's path."""
        with _LOCK:
            known = self.read()
            now = dict(known)
            for outcome, path in outcomes:
                place = os.fspath(path) if path else ""
                key = place or outcome.source
                if outcome.status == "failed":
                    now[key] = Failure(
                        outcome.source,
                        place,
                        outcome.kind,
                        outcome.reason,
                        at,
                    )
                else:
                    now.pop(key, None)
            if now != known:
                self._write(now)

    def forget(self, place: str) -> None:
        """Drop one, by its path or source: the person has seen it."""
        with _LOCK:
            known = self.read()
            if known.pop(place, None):
                self._write(known)

    def _write(self, failures: dict[str, Failure]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft = self._file.with_suffix(".new")
            draft.write_text(
                json.dumps([asdict(failure) for failure in failures.values()]), encoding="utf-8"
            )
            draft.replace(self._file)
        except OSError as error:
            raise ServiceError(f"{self._file} cannot be written: {error.strerror}") from error
