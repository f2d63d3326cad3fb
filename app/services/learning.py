"""Learning the question map of a collection from labelled questions, with an honest verdict."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from twotower.app.services.clicks import Clicks
from twotower.app.services.labels import Labels
from twotower.app.threads import usable_cores
from twotower.app.wiring import Application, utc_now
from twotower.evaluation.dataset import Dataset, read_dataset
from twotower.evaluation.measure import DEPTH, Scores, compute_measures, rank_places
from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.legs import open_legs
from twotower.retrieval.legs.dense import DenseLeg
from twotower.retrieval.models.question_map import QuestionMap, encoded, mapped
from twotower.retrieval.search.candidates import Candidates, Query, Searcher
from twotower.retrieval.search.options import HYBRID, SearchOptions
from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.retrieval.vocabulary.filters import Filter
from twotower.retrieval.vocabulary.ranking import Scored
from twotower.retrieval.vocabulary.vectors import Vectors
from twotower.training.examples import Examples, Passages, examples_of
from twotower.training.question_map import folds, learn
from twotower.training.verdict import FEWEST_QUESTIONS, Comparison, Verdict

Progress = Callable[[str, int, int], None]  # step, units just done, all units (0: unknown)
Learner = Callable[[Vectors, Vectors, Vectors], Vectors]

SOURCES = ("labels", "clicks")  # of labelled questions that a person gives while searching

_PARTS = 5
_REPEATS = 3
_MEASURED = 700  # questions that all repeats measure together, at least
_MOST_LOGITS = 4_000_000  # questions times passages: limits time and memory
_MEASURE = "ndcg@10"
_KEPT_MAPS = 3  # versions on the card


@dataclass(frozen=True, slots=True)
class Learned:
    """What `learn_map` found.

    Attributes
    ----------
    verdict
        Measured on questions held out.
    kept
        The map of each dense leg by name, if it is kept and live now.
    examples
        What was learned from, with counts of repeated questions and contradicting labels.
    unknown
        Number of labels that name questions or documents that do not exist.
    """

    verdict: Verdict
    examples: Examples
    kept: Mapping[str, QuestionMap] = field(default_factory=dict)
    unknown: int = 0


def datasets_of(
    application: Application,
    name: str,
    queries: Path | None,
    known: frozenset[str],
    sources: Sequence[str] = SOURCES,
) -> dict[str, Dataset]:
    """Return the labelled questions by source: a file, or the labels and clicks of the collection.

    Raises
    ------
    ConfigurationError
        If no file is given and there are neither labels nor clicks.
    """
    if queries is not None:
        return {"labels": read_dataset(queries, known)}
    settings = application.settings
    labels = Labels(settings.data_dir, name)
    found = {}
    if "labels" in sources and labels.answered():
        found["labels"] = read_dataset(labels.queries, known)
    clicks = Clicks(settings.data_dir, name, enabled=False).dataset()
    if "clicks" in sources and clicks.judged:
        found["clicks"] = clicks
    if not found:
        raise ConfigurationError(
            f"there are no labelled questions for collection '{name}': label hits on the page "
            "(`twotower ui`, Label hits), or name a file with --queries"
        )
    return found


def learn_map(
    application: Application,
    name: str,
    queries: Path | None,
    progress: Progress,
    sources: Sequence[str] = SOURCES,
) -> Learned:
    """Learn the question map, measure it on questions held out, and keep it if hybrid gains.

    Nothing but the collection's card changes, and the map is live at once.

    Raises
    ------
    ConfigurationError
        If there are too few questions, or the collection has no dense leg.
    """
    with application.catalog.open(name) as collection:
        known = frozenset(record.source for record in collection.documents())
        datasets = datasets_of(application, name, queries, known, sources)
        trial = MapTrial(application, collection, datasets, progress)
        verdict = trial.verdict()
        kept = trial.keep(verdict) if verdict.pays else {}
    unknown = sum(d.unknown_documents + d.unknown_questions for d in datasets.values())
    return Learned(verdict, trial.examples, kept, unknown)


def forget_map(application: Application, name: str) -> QuestionMap | None:
    """Remove the newest question map, so that the one before it is live; return the removed one."""
    with application.catalog.open(name) as collection:
        card = collection.card()
        newest = card.newest_map
        if newest is not None:
            number = newest.number
            kept = {leg.name: tuple(m for m in leg.maps if m.number < number) for leg in card.legs}
            collection.write_card(card.with_maps(kept))
    return newest


class MapTrial:
    """The questions of one collection, encoded once, and searched with one map after another.

    Parameters
    ----------
    learner
        Function that learns a map from questions, targets and passages; see `learn`.
    repeats
        How often the questions are divided; ``None`` chooses by their number.
    """

    def __init__(
        self,
        application: Application,
        collection: Collection,
        datasets: Mapping[str, Dataset],
        progress: Progress,
        learner: Learner = learn,
        repeats: int | None = None,
    ) -> None:
        self._progress = progress
        self._learner = learner
        self._repeats = repeats
        self._collection = collection
        self._card: IndexCard = collection.card()
        unmapped = self._card.with_maps({leg.name: () for leg in self._card.legs})
        legs = open_legs(unmapped, application.models)
        self._dense = {n: leg for n, leg in legs.items() if isinstance(leg, DenseLeg)}
        if not self._dense:
            raise ConfigurationError(
                f"collection '{collection.name}' has no dense leg, so there is no question vector "
                "to map"
            )
        options = replace(application.options(self._card.search, {}), mode=HYBRID, rerank="none")
        self._options: SearchOptions = replace(
            options, limit=DEPTH, depth=max(options.depth, DEPTH), feedback=0
        )
        self._searcher = Searcher(collection, legs)
        passages = {name: Passages.of(collection, name) for name in self._dense}
        first = next(iter(passages.values()))
        self._places = {
            id: (source, pages[0])
            for id, source, pages in zip(first.ids, first.sources, first.pages, strict=True)
        }
        self.examples = answerable(examples_of(datasets), first)
        self._ids = [str(number) for number in range(len(self.examples.questions))]
        progress("encoding questions", 0, 0)
        self._queries: Sequence[Query] = self._searcher.encode(
            self.examples.questions, [Filter()] * len(self._ids), HYBRID
        )
        self._questions = {n: self._vectors(n) for n in self._dense}
        self._passages, self._targets = {}, {}
        for leg, all_passages in passages.items():
            relevant = np.asarray(all_passages.targets(self.examples.judged).any(axis=0))
            most = _MOST_LOGITS // len(self._ids)
            self._passages[leg] = all_passages.some(relevant, most)
            self._targets[leg] = self._passages[leg].targets(self.examples.judged)

    def _vectors(self, leg: str) -> Vectors:
        return np.stack([np.asarray(query.legs[leg].vector) for query in self._queries])

    def verdict(self) -> Verdict:
        """Compare no map with maps that were learned from other questions."""
        count = len(self._ids)
        repeats = self._repeats or min(_REPEATS, max(1, round(_MEASURED / count)))
        before = self._measured(self._queries, (HYBRID, *self._queries[0].legs))
        changed = (HYBRID, *self._dense)
        after = {mode: np.zeros(count) if mode in changed else before[mode] for mode in before}
        done = "measuring on questions held out"
        for repeat in range(repeats):
            scores = self._measured(self._held_out(folds(count, _PARTS, repeat)), changed)
            for mode in changed:
                after[mode] += scores[mode] / repeats
            self._progress(done, 1, repeats)
        modes = {mode: Comparison.of(before[mode], after[mode]) for mode in before}
        return Verdict(modes, count, repeats, _PARTS)

    def keep(self, verdict: Verdict) -> dict[str, QuestionMap]:
        """Learn from all questions, and write the maps to the card."""
        newest = self._card.newest_map
        number = 1 + (newest.number if newest else 0)
        kept = {}
        for name, leg in self._dense.items():
            matrix = self._learned(name, np.arange(len(self._ids)))
            kept[name] = QuestionMap(
                number,
                leg.card.fingerprint,
                utc_now().isoformat(timespec="seconds"),
                dict(Counter(self.examples.sources)),
                *encoded(matrix),
                verdict.to_json(),
            )
        card = self._collection.card()
        old = {leg.name: leg.maps for leg in card.legs}
        maps = {name: (*old[name], new)[-_KEPT_MAPS:] for name, new in kept.items()}
        self._collection.write_card(card.with_maps(maps))
        return kept

    def _learned(self, leg: str, rows: np.ndarray) -> Vectors:
        return self._learner(
            self._questions[leg][rows], self._targets[leg][rows], self._passages[leg].vectors
        )

    def _held_out(self, parts: Sequence[np.ndarray]) -> list[Query]:
        """Map each part of the questions with what the other parts teach."""
        queries = list(self._queries)
        everything = np.arange(len(queries))
        for name, leg in self._dense.items():
            rest = [np.setdiff1d(everything, part) for part in parts]
            with ThreadPoolExecutor(usable_cores()) as pool:
                matrices = list(pool.map(partial(self._learned, name), rest))
            for part, matrix in zip(parts, matrices, strict=True):
                moved = mapped(self._questions[name][part], matrix)
                for row, vector in zip(part, moved, strict=True):
                    query = queries[row]
                    own = leg.moved(query.legs[name], vector, self._collection)
                    queries[row] = replace(query, legs={**query.legs, name: own})
        return queries

    def _measured(self, queries: Sequence[Query], modes: Sequence[str]) -> dict[str, Scores]:
        """NDCG@10 of each question in some modes."""
        found = self._searcher.find(queries, self._options, self._options.candidates)
        judged = dict(zip(self._ids, self.examples.judged, strict=True))
        scores = {}
        for mode in modes:
            ranked = {
                id: rank_places(
                    (self._places[item.id] for item in _ranking(c, mode)[:DEPTH]), judged[id]
                )
                for id, c in zip(self._ids, found, strict=True)
            }
            scores[mode] = compute_measures(ranked, judged, [_MEASURE])[_MEASURE]
        return scores


def _ranking(candidates: Candidates, mode: str) -> Sequence[Scored]:
    return candidates.ranking if mode == HYBRID else candidates.rankings[mode]


def answerable(examples: Examples, passages: Passages) -> Examples:
    """Leave out questions without a passage, and refuse too few."""
    found = np.asarray(passages.targets(examples.judged).any(axis=1))
    kept = [number for number, has in enumerate(found) if has]
    if len(kept) < FEWEST_QUESTIONS:
        raise ConfigurationError(
            f"too few questions: {len(kept)} of at least {FEWEST_QUESTIONS} labelled questions "
            "with a passage in the collection; with fewer, a gain cannot be told from chance. "
            "Label more hits on the page, or name a file with --queries"
        )
    return replace(
        examples,
        questions=tuple(examples.questions[number] for number in kept),
        sources=tuple(examples.sources[number] for number in kept),
        judged=tuple(examples.judged[number] for number in kept),
    )
