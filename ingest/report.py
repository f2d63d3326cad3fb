"""The result of an ingestion: the outcome of each file, and totals."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Status = Literal["added", "changed", "moved", "unchanged", "removed", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """Outcome of one file.

    ``kind`` and ``reason`` say why it failed; ``warnings`` name the parts of it that were not read.
    """

    source: str
    status: Status
    chunks: int = 0
    embedded: int = 0
    pages: int = 0
    kind: str = ""
    reason: str = ""
    warnings: tuple[str, ...] = ()


class IngestObserver:
    """Receives the progress of an ingestion; this base class ignores it."""

    def reading(self, source: str) -> None:
        """Reading of a file begins."""

    def slow(self, source: str, seconds: float) -> None:
        """A file is being read for this long already."""

    def busy(self, what: str) -> None:
        """A step begins that takes seconds; ``what`` describes it."""

    def encoded(self, chunks: int) -> None:
        """The encoder has encoded another ``chunks`` chunks."""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """Result of a whole run.

    Attributes
    ----------
    gone
        Documents whose files no longer exist and that are still in the index.
    seconds
        Seconds spent in each stage. ``read`` is the time that the run waited for the parsers;
        ``write`` runs in parallel with the other stages.
    """

    outcomes: tuple[FileOutcome, ...]
    chunks_total: int
    gone: tuple[str, ...]
    seconds: dict[str, float]

    @property
    def failed(self) -> Sequence[FileOutcome]:
        """Files that could not be ingested."""
        return [outcome for outcome in self.outcomes if outcome.status == "failed"]

    @property
    def counts(self) -> Counter[str]:
        """Number of files by status."""
        return Counter(outcome.status for outcome in self.outcomes)

    @property
    def embedded(self) -> int:
        """Number of chunks that were encoded."""
        return sum(outcome.embedded for outcome in self.outcomes)

    @property
    def reused(self) -> int:
        """Number of chunks that did not have to be encoded."""
        ingested = (o for o in self.outcomes if o.status not in ("failed", "removed"))
        return sum(outcome.chunks - outcome.embedded for outcome in ingested)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object, as ``twotower ingest --json`` prints it."""
        return {
            **{status: self.counts[status] for status in STATUSES if status != "failed"},
            "failed": [
                {"source": o.source, "kind": o.kind, "reason": o.reason} for o in self.failed
            ],
            "warnings": [
                {"source": o.source, "warning": warning}
                for o in self.outcomes
                for warning in o.warnings
            ],
            "gone": list(self.gone),
            "chunks_embedded": self.embedded,
            "chunks_reused": self.reused,
            "chunks_total": self.chunks_total,
            "seconds": {stage: round(time, 3) for stage, time in self.seconds.items()},
        }
