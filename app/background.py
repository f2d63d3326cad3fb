"""The work that the web page starts and does not wait for: ingest, re-index, measure."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.jobs import Job
from app.workspace import Workspace
from ingest.report import FileOutcome, IngestReport, Watcher
from retrieval.errors import ConfigurationError, ServiceError
from retrieval.options import SearchOptions

if TYPE_CHECKING:  # each of these takes a second to import
    from app.versions import Built
    from evaluation.dataset import Dataset
    from evaluation.measure import SystemResult


def ingest(workspace: Workspace, name: str, paths: Sequence[Path], prune: bool = False) -> Job:
    """Bring files in; the job's result is an `IngestReport`."""

    def work(job: Job) -> IngestReport:
        from app.ingestion import Ingestion  # noqa: PLC0415 - as above

        job.told("looking at the files", 0, 0)
        with Ingestion(workspace.application, paths, name, _Told(job)) as run:
            job.told("", 0, len(run.plan.files))
            job.seen.extend(run.discovery.errors)
            for outcome in run.run(prune, job.stopped):
                _see(job, outcome)
            if not run.plan.files and run.discovery.errors:
                raise ConfigurationError(run.discovery.errors[0])
            return run.report()

    what = f"{len(paths)} files" if len(paths) > 1 else paths[0].name
    return workspace.jobs.start("ingest", f"Ingesting {what} into {name}", work)


def reindex(workspace: Workspace, name: str, encoder: str, force: bool) -> Job:
    """Build the next version beside the live one; another encoder is used from then on.

    The job's result is `None` where nothing differs.
    """

    def work(job: Job) -> "Built | None":
        from app.versions import reindex as build  # noqa: PLC0415 - as above

        wanted = workspace.application
        if encoder and encoder != workspace.settings.encoder:
            if not workspace.alone:
                raise ConfigurationError(
                    "this page is open to other machines, so it takes the encoder of the settings "
                    "(TWOTOWER_ENCODER)"
                )
            wanted = workspace.with_encoder(encoder)
        built = build(
            wanted,
            name,
            lambda done, total: job.told("encoding passages", done, total),
            job.stopped,
            force=force,
        )
        if built is not None and built.finished:
            workspace.application = wanted
        return built

    return workspace.jobs.start("reindex", f"Re-indexing {name}", work)


def evaluate(
    workspace: Workspace,
    name: str,
    queries: Path,
    tried: Callable[[SearchOptions], list[SearchOptions]],
) -> Job:
    """Measure ways to search on labelled questions; the job's result is what `eval` prints.

    Parameters
    ----------
    queries
        A ``queries.jsonl`` with its judgements beside it.
    tried
        From the options in force to those that are compared.
    """

    def work(job: Job) -> "tuple[Dataset, list[SystemResult]]":
        from app import evaluation  # noqa: PLC0415 - as above

        done = 0

        def told(what: str, now: int, total: int) -> None:
            nonlocal done
            if job.stopped():
                raise ServiceError("stopped; nothing was measured")
            done = now + (done if what == job.what else 0)
            job.told(what, done, total)

        with evaluation.bench(workspace.application, None, queries, name, told) as opened:
            systems = tried(workspace.application.options(opened.retriever.tuned, {}))
            return opened.dataset, evaluation.run_systems(opened, systems, told)

    return workspace.jobs.start("evaluate", f"Measuring on {queries.parent.name}", work)


class _Told(Watcher):
    """Tells a job what an ingestion is at."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def reading(self, source: str) -> None:
        self._job.what = f"reading {source}"
        self._job.in_hand.add(source)

    def busy(self, what: str) -> None:
        self._job.what = what


def _see(job: Job, outcome: FileOutcome) -> None:
    job.in_hand.discard(outcome.source)
    job.done += 1
    if outcome.status == "failed":
        job.seen.append(f"failed: {outcome.source}: {outcome.reason}")
    elif outcome.status != "unchanged":
        job.seen.append(f"{outcome.status}: {outcome.source} ({outcome.chunks} passages)")
