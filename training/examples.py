"""Training examples: questions, and the passages of a collection that answer them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from twotower.evaluation.dataset import Dataset
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.vocabulary.text import normalised
from twotower.retrieval.vocabulary.vectors import Vectors

_PAGE = "#page="


@dataclass(frozen=True, slots=True)
class Examples:
    """Questions with their relevant places.

    Attributes
    ----------
    questions
        Texts, each once.
    sources
        Where each question was found first, such as ``labels``.
    judged
        For each question, the grades of documents and pages (``rules.pdf``, ``rules.pdf#page=3``);
        0 is not relevant.
    repeated
        Number of questions that were given more than once, and whose labels were put together.
    contradicting
        Number of labels that another label of the same question and place contradicts. The lower
        grade counts.
    """

    questions: tuple[str, ...]
    sources: tuple[str, ...]
    judged: tuple[Mapping[str, int], ...]
    repeated: int = 0
    contradicting: int = 0


def examples_of(datasets: Mapping[str, Dataset]) -> Examples:
    """Collect the labelled questions of data sets by source; the same question is kept once."""
    merged: dict[str, dict[str, int]] = {}
    shown: dict[str, tuple[str, str]] = {}
    repeated = contradicting = 0
    found = (
        (source, dataset.questions[id], labels)
        for source, dataset in datasets.items()
        for id, labels in dataset.judged.items()
    )
    for source, text, labels in found:
        key = " ".join(normalised(text).casefold().split())
        shown.setdefault(key, (text, source))
        repeated += key in merged
        own = merged.setdefault(key, {})
        for place, grade in labels.items():
            contradicting += own.get(place, grade) != grade
            own[place] = min(own.get(place, grade), grade)
    kept = {key: labels for key, labels in merged.items() if max(labels.values(), default=0) > 0}
    questions = tuple(shown[key][0] for key in kept)
    sources = tuple(shown[key][1] for key in kept)
    return Examples(questions, sources, tuple(kept.values()), repeated, contradicting)


@dataclass(frozen=True, slots=True)
class Passages:
    """The passages of a collection: their place and their vector in one leg.

    Attributes
    ----------
    ids, sources, pages
        For each passage its id, its document, and its first and last page.
    vectors
        (m, d) float32.
    """

    ids: tuple[UUID, ...]
    sources: tuple[str, ...]
    pages: tuple[tuple[int | None, int | None], ...]
    vectors: Vectors

    @classmethod
    def of(cls, collection: Collection, leg: str) -> "Passages":
        """Read all passages of a collection that the leg has a vector of."""
        found = {chunk.id: chunk.provenance for chunk in collection.all_chunks()}
        vectors = collection.vectors(leg, list(found))
        ids = tuple(id for id in found if id in vectors)
        places = [found[id] for id in ids]
        return cls(
            ids,
            tuple(place.source for place in places),
            tuple((place.page, place.page_end) for place in places),
            np.stack([vectors[id] for id in ids]) if ids else np.zeros((0, 1), np.float32),
        )

    def targets(self, judged: Sequence[Mapping[str, int]]) -> Vectors:
        """Return for each question a distribution over the passages: (n, m) float32.

        A passage has the grade of its document or page. A row without a relevant passage is 0.
        """
        rows: dict[str, list[int]] = {}
        for row, source in enumerate(self.sources):
            rows.setdefault(source, []).append(row)
        targets = np.zeros((len(judged), len(self.ids)), np.float32)
        for number, labels in enumerate(judged):
            for place, grade in labels.items():
                source, _, page = place.partition(_PAGE)
                for row in rows.get(source, ()):
                    if grade > 0 and (not page or self._is_on(row, page)):
                        targets[number, row] = max(targets[number, row], grade)
        sums = targets.sum(axis=1, keepdims=True)
        shares: Vectors = np.divide(targets, sums, out=targets, where=sums > 0)
        return shares

    def _is_on(self, row: int, page: str) -> bool:
        first, last = self.pages[row]
        return first is not None and page.isdigit() and first <= int(page) <= (last or first)

    def some(self, wanted: np.ndarray, most: int) -> "Passages":
        """Return those wanted, and a random sample of the others, at most ``most`` in all.

        Parameters
        ----------
        wanted
            (m,) bool.
        """
        if len(self.ids) <= most:
            return self
        order = np.argsort([id.int for id in self.ids])  # ids are hashes: their order is random
        order = order[np.argsort(~wanted[order], kind="stable")]
        rows = np.sort(order[: max(most, int(wanted.sum()))])
        return Passages(
            tuple(self.ids[row] for row in rows),
            tuple(self.sources[row] for row in rows),
            tuple(self.pages[row] for row in rows),
            self.vectors[rows],
        )
