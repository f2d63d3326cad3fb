"""Training a model by a recipe, on what a collection and its labels have to teach."""

import hashlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from twotower.app.services.learning import SOURCES, answerable, datasets_of
from twotower.app.services.model_trial import measure
from twotower.app.wiring import Application
from twotower.evaluation.dataset import Dataset
from twotower.evaluation.measure import Scores
from twotower.retrieval.index.card import EncoderCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.legs import open_legs
from twotower.retrieval.legs.dense import DenseLeg
from twotower.retrieval.models.model_folder import find_model
from twotower.retrieval.search.candidates import Searcher
from twotower.retrieval.search.options import SearchOptions
from twotower.retrieval.vocabulary.documents import Chunk
from twotower.retrieval.vocabulary.errors import ConfigurationError, MissingExtra
from twotower.retrieval.vocabulary.filters import Filter
from twotower.training.batches import Batches, Material
from twotower.training.curve import Outcome, Step
from twotower.training.examples import Examples, Passages, examples_of
from twotower.training.negatives import bm25
from twotower.training.pairs import Drawer, Split, split
from twotower.training.recipe import Recipe, Stage
from twotower.training.verdict import Verdict

_BM25_DEPTH = 30  # passages among which negatives are looked for
_VALIDATED = 60  # questions at most, so that validation does not take longer than training
_CANDIDATES = 12  # passages of each validation question, from either leg
_RERANKED = 150  # questions of a reranker's verdict at most: each takes about a second
_OTHERS = 300  # passages at random, which a model may rank first as it learns
_LEAST_PAIRS = 32
_SAMPLES = 2
_SEARCHED_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is going to do, said before it starts.

    Attributes
    ----------
    pairs
        Number of pairs by source.
    questions
        Numbers of labelled questions for training, validation and the verdict.
    near_duplicates, of_held_out_documents
        See `Split`.
    negatives
        Samples: a question, and its first negative, by kind.
    resumed
        True if an earlier run is continued.
    """

    folder: Path
    pairs: Mapping[str, int]
    questions: tuple[int, int, int]
    near_duplicates: int
    of_held_out_documents: int
    negatives: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of a run.

    Attributes
    ----------
    outcomes
        How each stage went.
    scores
        NDCG@10 of each question held out, with the model, by mode.
    finished
        False if the run was stopped; the same call continues it.
    """

    folder: Path
    recipe: Recipe
    outcomes: tuple[Outcome, ...]
    verdict: Verdict | None
    scores: Mapping[str, Scores] = field(default_factory=dict)
    finished: bool = True


@dataclass(frozen=True)
class Reporter:
    """Functions that a run reports to.

    Attributes
    ----------
    plan
        Receives the plan, before the first step.
    cost
        Receives number and seconds of a stage, before it starts.
    step
        Receives number of the stage, point of the curve and number of all steps.
    busy
        Receives what is done outside of the steps.
    """

    plan: Callable[[Plan], None] = lambda _plan: None
    cost: Callable[[int, float], None] = lambda _stage, _seconds: None
    step: Callable[[int, Step, int], None] = lambda _stage, _step, _steps: None
    busy: Callable[[str], None] = lambda _what: None


@dataclass(frozen=True)
class _Corpus:
    """The collection, read once."""

    chunks: Sequence[Chunk]
    examples: Examples
    places: Sequence[Mapping[str, Sequence[int]]]
    near: Sequence[Sequence[int]]  # passages that the collection's encoder ranks first
    dataset_names: Sequence[str]

    @property
    def texts(self) -> list[str]:
        return [chunk.encoded_text for chunk in self.chunks]


def train_model(
    application: Application,
    name: str,
    recipe: Recipe,
    queries: Path | None,
    folder: Path | None = None,
    report: Reporter | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    sources: Sequence[str] = SOURCES,
) -> Trained:
    """Train a model by a recipe, and measure on questions held out whether it pays.

    A run that was interrupted is continued from its last checkpoint by the same call. The
    collection does not change.

    Parameters
    ----------
    sources
        Sources of labelled questions where no file is given.

    Raises
    ------
    MissingExtra
        If the packages for training are not installed.
    ConfigurationError
        If there is too little to learn from, a model is missing, or the folder has another run.
    ServiceError
        If the disk is too full for a checkpoint.
    """
    _require_packages()
    from twotower.training.run_folder import RunFolder  # noqa: PLC0415 - takes 5 to 10 s
    from twotower.training.towers import build, load, save  # noqa: PLC0415 - as above
    from twotower.training.trainer import Job, run_stage  # noqa: PLC0415 - as above

    report = report or Reporter()
    report.busy("reading the collection")
    base = _base(application, recipe)
    corpus = _read(application, name, queries, sources)
    splits = [_split(corpus, stage) for stage in recipe.stages]
    run = RunFolder(
        folder or application.settings.data_dir / "runs" / f"{name}-{recipe.name}",
        _configuration(name, recipe, corpus, base),
    )
    report.busy("searching for negatives")
    materials = [
        _material(application, name, corpus, each, stage)
        for each, stage in zip(splits, recipe.stages, strict=True)
    ]
    first = splits[0]
    report.plan(_plan(run.path, run.resumed, splits, materials))
    network = build(recipe.model, base)
    outcomes: list[Outcome] = []
    for number, (stage, material) in enumerate(zip(recipe.stages, materials, strict=True), start=1):
        done = run.outcome(number)
        if done is None:
            batches = _batches(application, recipe, stage, material, network)
            job = Job(
                network,
                recipe.model,
                stage,
                batches,
                len(material.drawn),
                batches.relevant,
                len(corpus.chunks),
                _validation(corpus, first, material),
                run.stage(number),
                (batches.state, batches.restore),
            )
            done = run_stage(
                job,
                partial(report.step, number),
                partial(report.cost, number),
                should_stop,
            )
            if should_stop():
                return Trained(run.path, recipe, tuple(outcomes), None, finished=False)
            save(network, run.stage(number) / "model", base)
            run.finish_stage(number, done)
        else:
            network = load(recipe.model.kind, run.stage(number) / "model")
        outcomes.append(done)
    save(network, run.model, base)
    report.busy("measuring on questions held out")
    slow = recipe.model.kind == "reranker"
    test = _test_set(corpus.examples, first.test[:_RERANKED] if slow else first.test)
    trial = measure(application, name, recipe.model.kind, run.model, test, run.path / "trial")
    run.finish(recipe, outcomes, trial.verdict, _notes(name, corpus, splits))
    return Trained(run.path, recipe, tuple(outcomes), trial.verdict, trial.scores)


def _base(application: Application, recipe: Recipe) -> Path | None:
    if recipe.model.base == "dssm":
        return None
    if recipe.model.base:
        return find_model(recipe.model.base, marker="config.json")
    return application.model().path


def _require_packages() -> None:
    missing = [
        name for name in ("datasets", "accelerate") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise MissingExtra(
            f"training needs the extra 'train' ({', '.join(missing)} cannot be imported): run "
            "`make install`, or pip install 'twotower[eval,train]'"
        )


def _read(
    application: Application, name: str, queries: Path | None, sources: Sequence[str]
) -> _Corpus:
    with application.catalog.open(name, short_lived=True) as collection:
        known = frozenset(record.source for record in collection.documents())
        datasets = datasets_of(application, name, queries, known, sources)
        legs = open_legs(collection.card(), application.models)
        dense = next((leg for leg in legs.values() if isinstance(leg, DenseLeg)), None)
        if dense is None:
            raise ConfigurationError(f"collection '{name}' has no dense leg to compare with")
        passages = Passages.of(collection, dense.card.name)
        by_id = {chunk.id: chunk for chunk in collection.all_chunks()}
    chunks = [by_id[id] for id in passages.ids]
    if len({chunk.encoded_text for chunk in chunks}) < 2:  # noqa: PLR2004 - nothing to tell apart
        raise ConfigurationError(
            f"all passages of collection '{name}' have the same text: there is nothing to learn"
        )
    examples = answerable(examples_of(datasets), passages)
    encoder = application.models.encoder(EncoderCard(**dense.card.made_by))
    questions = encoder.encode_questions(examples.questions)
    scores = questions @ passages.vectors.T
    near = np.argsort(-scores, axis=1, kind="stable")[:, :_CANDIDATES].tolist()
    names = tuple(dataset.name for dataset in datasets.values())
    return _Corpus(chunks, examples, _places(examples, passages, scores), near, names)


def _places(
    examples: Examples, passages: Passages, scores: np.ndarray
) -> list[dict[str, list[int]]]:
    """For each question, the passages of each relevant place, the closest one first."""
    found: list[dict[str, list[int]]] = []
    for number, labels in enumerate(examples.judged):
        own = {}
        for place, grade in labels.items():
            rows = passages.targets([{place: grade}])[0].nonzero()[0]
            if len(rows):
                own[place] = sorted(rows.tolist(), key=lambda row: -scores[number, row])
        found.append(own)
    return found


def _split(corpus: _Corpus, stage: Stage) -> Split:
    data = stage.data
    made = split(
        corpus.examples,
        corpus.places,
        corpus.chunks,
        tuple(data.sources),
        data.split == "document",
        seed=0,  # the same questions are held out in every stage and every run
    )
    least = max(_LEAST_PAIRS, 2 * stage.training.batch)
    if len(made.pairs) < least:
        raise ConfigurationError(
            f"too few pairs: {len(made.pairs)} of at least {least} from "
            f"{', '.join(data.sources)}; a batch needs {stage.training.batch} different ones. "
            "Label more hits on the page, add a source of text to data.sources, or lower "
            "training.batch"
        )
    return made


def _material(
    application: Application, name: str, corpus: _Corpus, made: Split, stage: Stage
) -> Material:
    relevant: dict[str, set[int]] = {}
    for number in made.trained:
        own = relevant.setdefault(corpus.examples.questions[number], set())
        for passages in corpus.places[number].values():
            own |= set(passages)
    for pair in made.pairs:
        relevant.setdefault(pair.question, set()).add(pair.passage)
    frozen = {question: frozenset(own) for question, own in relevant.items()}
    training = stage.training
    drawer = Drawer(made.pairs, stage.data.sources, frozen)
    drawn = drawer.draw(training.steps * training.accumulate, training.batch, training.seed)
    used = {made.pairs[number].question for number in drawn}
    chosen = [pair for pair in made.pairs if pair.question in used]
    validation = [corpus.examples.questions[number] for number in made.validation]
    with application.catalog.open(name, short_lived=True) as collection:
        search = _lexical(application, collection, corpus)
        found = dict(zip(validation, search(validation), strict=True))
        if stage.negatives.bm25:
            found |= bm25(chosen, search, frozen, stage.negatives.bm25)
    return Material(made.pairs, drawn, corpus.texts, frozen, found)


def _lexical(
    application: Application, collection: Collection, corpus: _Corpus
) -> Callable[[Sequence[str]], list[list[int]]]:
    """Return a function that searches the BM25 leg."""
    legs = open_legs(collection.card(), application.models)
    if "bm25" not in legs:
        return lambda questions: [[] for _ in questions]
    searcher = Searcher(collection, {"bm25": legs["bm25"]})
    numbers = {chunk.id: number for number, chunk in enumerate(corpus.chunks)}
    options = SearchOptions(mode="bm25", limit=_BM25_DEPTH)

    def search(questions: Sequence[str]) -> list[list[int]]:
        rankings: list[list[int]] = []
        for first in range(0, len(questions), _SEARCHED_AT_ONCE):
            some = questions[first : first + _SEARCHED_AT_ONCE]
            queries = searcher.encode(some, [Filter()] * len(some), "bm25")
            rankings += [
                [numbers[item.id] for item in found.ranking if item.id in numbers]
                for found in searcher.find(queries, options, _BM25_DEPTH)
            ]
        return rankings

    return search


def _batches(
    application: Application, recipe: Recipe, stage: Stage, material: Material, network: Any
) -> Batches:
    from twotower.training.negatives import mined  # noqa: PLC0415 - only where it is used

    labelled = [pair for pair in material.pairs if pair.source in ("labels", "clicks")]
    pairs = labelled or [material.pairs[number] for number in dict.fromkeys(material.drawn)]

    def mine() -> Mapping[str, Sequence[int]]:
        negatives = stage.negatives
        return mined(
            pairs, network, material.texts, material.relevant, negatives.mined, negatives.margin
        )

    teacher = None
    if stage.is_distilled:
        teacher = _teacher(application, stage)
    return Batches(material, recipe.model.kind, stage, mine, teacher)


def _teacher(
    application: Application, stage: Stage
) -> Callable[[Sequence[tuple[str, str]]], Sequence[float]]:
    if stage.loss.teacher:
        settings = application.settings.model_copy(update={"cross_encoder": stage.loss.teacher})
        application = Application(settings)
    scorer = application.models.pair_scorer()
    scorer.score([("question", "passage")])  # a missing model is said before the first step
    return lambda pairs: [float(score) for score in scorer.score(list(pairs))]


def _validation(corpus: _Corpus, made: Split, material: Material) -> Any:
    from twotower.training.trainer import Validation  # noqa: PLC0415 - takes 5 to 10 s

    numbers = made.validation[:_VALIDATED]
    questions, relevant, candidates = {}, {}, {}
    passages: dict[str, str] = {}
    for number in numbers:
        question = corpus.examples.questions[number]
        own = {passages_[0] for passages_ in corpus.places[number].values()}
        found = [*corpus.near[number], *material.bm25.get(question, ())[:_CANDIDATES]]
        others = [n for n in dict.fromkeys(found) if n not in own]
        key = str(number)
        questions[key] = question
        relevant[key] = {str(n) for n in own}
        candidates[key] = [str(n) for n in (*sorted(own), *others)]
        passages |= {str(n): material.texts[n] for n in (*own, *others)}
    by_id = sorted(range(len(corpus.chunks)), key=lambda n: corpus.chunks[n].id.int)
    passages |= {str(n): material.texts[n] for n in by_id[:_OTHERS]}  # ids are hashes: at random
    return Validation(questions, passages, relevant, candidates)


def _configuration(name: str, recipe: Recipe, corpus: _Corpus, base: Path | None) -> dict[str, Any]:
    digest = hashlib.sha256()
    for chunk in corpus.chunks:
        digest.update(chunk.id.bytes)
    for question, labels in zip(corpus.examples.questions, corpus.examples.judged, strict=True):
        digest.update(f"{question}\0{sorted(labels.items())}".encode())
    return {
        "collection": name,
        "recipe": recipe.model_dump(),
        "base": str(base or recipe.model.base),
        "data": digest.hexdigest(),
    }


def _plan(
    folder: Path, resumed: bool, splits: Sequence[Split], materials: Sequence[Material]
) -> Plan:
    first = splits[0]
    counts: dict[str, int] = {}
    for made in splits:
        counts |= made.counts
    samples: list[tuple[str, str]] = []
    for material in materials:
        for number in material.drawn[:50]:
            question = material.pairs[number].question
            found = list(material.bm25.get(question, ()))
            if found and len(samples) < _SAMPLES:
                samples.append((question, material.texts[found[0]]))
    return Plan(
        folder,
        counts,
        (len(first.trained), len(first.validation), len(first.test)),
        first.near_duplicates,
        first.of_held_out_documents,
        {"bm25": samples} if samples else {},
        resumed,
    )


def _test_set(examples: Examples, numbers: Sequence[int]) -> Dataset:
    questions = {str(number): examples.questions[number] for number in numbers}
    judged = {str(number): examples.judged[number] for number in numbers}
    return Dataset("questions held out", questions, judged)


def _notes(name: str, corpus: _Corpus, splits: Sequence[Split]) -> list[str]:
    pairs = ", ".join(
        f"{count} from {source}" for made in splits for source, count in made.counts.items()
    )
    return [
        f"Collection '{name}': {len(corpus.chunks)} passages; pairs: {pairs}",
        f"Questions: {', '.join(corpus.dataset_names)}",
    ]
