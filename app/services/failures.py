"""The files that could not be ingested, with reasons; kept until an ingestion succeeds."""

import json
import os
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from twotower.ingest.report import FileOutcome
from twotower.retrieval.vocabulary.errors import ServiceError

_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be ingested.

    Attributes
    ----------
    path
        Path of the file, to try it again.
    at
        Time of the failure, RFC 3339 in UTC.
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
        """Read the failures by path, or by source where the path is unknown.

        A list that is damaged counts as empty.
        """
        try:
            entries = json.loads(self._file.read_text(encoding="utf-8"))
            failures = (Failure(**entry) for entry in entries)
            return {failure.path or failure.source: failure for failure in failures}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def record(self, outcomes: Iterable[tuple[FileOutcome, Path | None]], at: str) -> None:
        """Add the files that failed and drop those that did not: outcomes, each with its path."""
        with _LOCK:
            known = self.read()
            failures = dict(known)
            for outcome, path in outcomes:
                location = os.fspath(path) if path else ""
                key = location or outcome.source
                if outcome.status == "failed":
                    failures[key] = Failure(
                        outcome.source,
                        location,
                        outcome.kind,
                        outcome.reason,
                        at,
                    )
                else:
                    failures.pop(key, None)
            if failures != known:
                self._write(failures)

    def forget(self, key: str) -> None:
        """Drop a failure by its key in `read`."""
        with _LOCK:
            known = self.read()
            if known.pop(key, None):
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
