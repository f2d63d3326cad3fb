"""What happened to each file, and in all."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Status = Literal["added", "changed", "moved", "unchanged", "removed", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What happened to one file; ``kind`` and ``reason`` where it failed."""

    source: str
    status: Status
    chunks: int = 0
    embedded: int = 0
    pages: int = 0
    kind: str = ""
    reason: str = ""


class Watcher:
    """Told how an ingestion gets on; this one keeps quiet."""

    def reading(self, source: str) -> None:
        """A file is in hand."""

    def busy(self, what: str) -> None:
        """Something is done that takes seconds."""

    def encoded(self, chunks: int) -> None:
        """So many more chunks went through the encoder and are stored."""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """The whole run.

    Attributes
    ----------
    gone
        Documents whose files are no more, and that were left in the index.
    seconds
        Spent in each stage: ``read`` is waiting for the parsers; ``write`` runs beside the others.
    """

    outcomes: tuple[FileOutcome, ...]
    chunks_total: int
    gone: tuple[str, ...]
    seconds: dict[str, float]

    @property
    def failed(self) -> Sequence[FileOutcome]:
        """The files that could not be ingested."""
        return [outcome for outcome in self.outcomes if outcome.status == "failed"]

    @property
    def counts(self) -> Counter[str]:
        """Files by status."""
        return Counter(outcome.status for outcome in self.outcomes)

    @property
    def embedded(self) -> int:
        """Chunks that went through the encoder."""
        return sum(outcome.embedded for outcome in self.outcomes)

    @property
    def reused(self) -> int:
        """Chunks that were in the index already."""
        kept = (o for o in self.outcomes if o.status not in ("failed", "removed"))
        return sum(outcome.chunks - outcome.embedded for outcome in kept)

    def to_json(self) -> dict[str, Any]:
        """Turn the report into the object that ``--json`` prints."""
        return {
            **{status: self.counts[status] for status in STATUSES if status != "failed"},
            "failed": [
                {"source": o.source, "kind": o.kind, "reason": o.reason} for o in self.failed
            ],
            "gone": list(self.gone),
            "chunks_embedded": self.embedded,
            "chunks_reused": self.reused,
            "chunks_total": self.chunks_total,
            "seconds": {stage: round(time, 3) for stage, time in self.seconds.items()},
        }
