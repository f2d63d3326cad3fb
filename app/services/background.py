"""The jobs that the web page starts: ingest, re-index, measure."""

from collections.abc import Callable, Sequence
from pathlib import Path

from twotower.app.services import evaluation, versions
from twotower.app.services.copies import Built
from twotower.app.services.ingestion import Ingestion
from twotower.app.services.jobs import Job
from twotower.app.services.learning import Learned, learn_map
from twotower.app.services.workspace import Workspace
from twotower.app.wiring import Application
from twotower.evaluation.dataset import Dataset
from twotower.evaluation.measure import SystemResult
from twotower.ingest.report import FileOutcome, IngestObserver, IngestReport
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.vocabulary.errors import ConfigurationError, ServiceError


def ingest(workspace: Workspace, name: str, paths: Sequence[Path], prune: bool = False) -> Job:
    """Start an ingestion of files; the job's result is an `IngestReport`."""

    def work(job: Job) -> IngestReport:
        job.report("looking at the files", 0, 0)
        with Ingestion(workspace.application, paths, name, _JobObserver(job)) as run:
            job.report("", 0, len(run.plan.files))
            job.log.extend(run.discovery.errors)
            for outcome in run.run(prune, job.should_stop):
                _record(job, outcome)
            if not run.plan.files and run.discovery.errors:
                raise ConfigurationError(run.discovery.errors[0])
            return run.report()

    what = f"{len(paths)} files" if len(paths) > 1 else paths[0].name
    return workspace.jobs.start("ingest", f"Ingesting {what} into {name}", work)


def reindex(workspace: Workspace, name: str, encoder: str, force: bool) -> Job:
    """Start building the next version of a collection, with another encoder if one is given.

    The job's result is a `Built`, or ``None`` where nothing differs.
    """

    def work(job: Job) -> Built | None:
        application = workspace.application
        if encoder and encoder != _encoder_of(application, name):
            if not workspace.access.local_only:
                raise ConfigurationError(
                    "this page is open to other machines, so only the encoder in the settings may "
                    "be used: set TWOTOWER_ENCODER"
                )
            application = _with_encoder(application, encoder)
        return versions.reindex(
            application,
            name,
            lambda done, total: job.report("encoding passages", done, total),
            job.should_stop,
            force=force,
        )

    return workspace.jobs.start("reindex", f"Re-indexing {name}", work)


def evaluate(
    workspace: Workspace,
    name: str,
    queries: Path,
    choose: Callable[[SearchOptions], list[SearchOptions]],
) -> Job:
    """Start a measurement on labelled questions; the job's result is what `eval` prints.

    Parameters
    ----------
    queries
        A ``queries.jsonl`` with its judgements beside it.
    choose
        Function that returns the options to compare, from the options in force.
    """

    def work(job: Job) -> tuple[Dataset, list[SystemResult]]:
        progress = _counting(job)
        with evaluation.bench(workspace.application, None, queries, name, progress) as bench:
            base = workspace.application.options(bench.retriever.card.search, {})
            return bench.dataset, evaluation.run_systems(bench, choose(base), progress)

    return workspace.jobs.start("evaluate", f"Measuring on {queries.parent.name}", work)


def train(workspace: Workspace, name: str, queries: Path | None) -> Job:
    """Start learning a question map; the job's result is a `Learned`.

    Parameters
    ----------
    queries
        Labelled questions; ``None`` learns from the labels and clicks of the collection.
    """

    def work(job: Job) -> Learned:
        return learn_map(workspace.application, name, queries, _counting(job))

    return workspace.jobs.start(
        "train",
        f"Learning from {queries.parent.name if queries else 'your labels and clicks'}",
        work,
    )


def _counting(job: Job) -> Callable[[str, int, int], None]:
    """Return a function that counts the units of each step, and ends a job that is cancelled."""
    done = 0

    def progress(what: str, count: int, total: int) -> None:
        nonlocal done
        if job.should_stop():
            raise ServiceError("this was stopped, so there is no result")
        done = count + (done if what == job.what else 0)
        job.report(what, done, total)

    return progress


class _JobObserver(IngestObserver):
    """Reports the steps of an ingestion to a job."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def reading(self, source: str) -> None:
        self._job.what = f"reading {source}"
        self._job.in_progress.add(source)

    def busy(self, what: str) -> None:
        self._job.what = what


def _record(job: Job, outcome: FileOutcome) -> None:
    job.in_progress.discard(outcome.source)
    job.done += 1
    if outcome.status == "failed":
        job.log.append(f"failed: {outcome.source}: {outcome.reason}")
    elif outcome.status != "unchanged":
        job.log.append(f"{outcome.status}: {outcome.source} ({outcome.chunks} passages)")


def _encoder_of(application: Application, name: str) -> str:
    with application.catalog.open(name, short_lived=True) as collection:
        return collection.card().encoder.name


def _with_encoder(application: Application, name: str) -> Application:
    """Make an application with another encoder, over the same open collections."""
    other = Application(application.settings.model_copy(update={"encoder": name}))
    other.model()  # raises if there is no such encoder
    other.catalog = application.catalog
    return other
