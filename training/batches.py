"""From numbers of drawn pairs to the texts of a batch, with their negatives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twotower.training.negatives import filled
from twotower.training.pairs import Pair
from twotower.training.recipe import Kind, Stage

QUESTION, PASSAGE = "question", "passage"  # columns of a batch; negatives are further passages
Score = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
Found = Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Material:
    """What batches are made of.

    Attributes
    ----------
    pairs
        All pairs.
    drawn
        Numbers of the pairs, in the order of training.
    texts
        Text of each passage of the collection.
    relevant
        Passages that answer each question.
    bm25
        Negatives of each question from the lexical leg.
    """

    pairs: Sequence[Pair]
    drawn: Sequence[int]
    texts: Sequence[str]
    relevant: Mapping[str, frozenset[int]]
    bm25: Found


class Batches:
    """Makes the rows of each batch; given the same numbers, the same rows.

    Parameters
    ----------
    mine
        Function that mines negatives with the network as it is now.
    teacher
        Function from pairs of texts to the scores that are learned.
    """

    def __init__(
        self,
        material: Material,
        kind: Kind,
        stage: Stage,
        mine: Callable[[], Found],
        teacher: Score | None = None,
    ) -> None:
        self._material = material
        self._kind = kind
        self._stage = stage
        self._mine = mine
        self._teacher = teacher
        self._taught: dict[tuple[str, str], float] = {}
        self._mined: Found = {}
        self._round = -1
        self._questions = {
            question: number
            for number, question in enumerate(dict.fromkeys(p.question for p in material.pairs))
        }

    @property
    def relevant(self) -> list[frozenset[int]]:
        """The passages that answer each question, by the number in the labels."""
        known = self._material.relevant
        return [known.get(question, frozenset()) for question in self._questions]

    def __call__(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Return the rows of a batch: texts by column, and labels."""
        self._mine_again(numbers[0])
        rows = [row for number in numbers for row in self._rows(number)]
        if self._stage.is_distilled:
            self._teach(rows)
        return rows

    def _rows(self, number: int) -> list[dict[str, Any]]:
        pair = self._material.pairs[self._material.drawn[number]]
        negatives = self._negatives(pair, number)
        texts = [self._material.texts[passage] for passage in negatives]
        if self._kind == "reranker":
            answers = [(pair.text, 1.0), *((text, 0.0) for text in texts)]
            return [{QUESTION: pair.question, PASSAGE: t, "label": label} for t, label in answers]
        row: dict[str, Any] = {QUESTION: pair.question, PASSAGE: pair.text}
        row |= {f"{PASSAGE}_{place}": text for place, text in enumerate(texts)}
        row["label"] = [self._questions[pair.question], pair.passage, *negatives]
        return [row]

    def _negatives(self, pair: Pair, number: int) -> list[int]:
        stage, material = self._stage.negatives, self._material
        own = material.relevant.get(pair.question, frozenset()) | {pair.passage}
        seed = self._stage.training.seed * 1_000_003 + number
        count = len(material.texts)
        chosen: list[int] = []
        for wanted, found in ((stage.bm25, material.bm25), (stage.mined, self._mined)):
            some = [n for n in found.get(pair.question, ()) if n not in own]
            chosen += filled(some, wanted, own, count, seed) if wanted else []
        each = stage.uniform // self._stage.training.batch
        random = np.random.default_rng(seed + 1)
        return [*chosen, *map(int, random.integers(0, count, each))]

    def _mine_again(self, first: int) -> None:
        if not self._stage.negatives.mined:
            return
        training = self._stage.training
        steps = first // (training.batch * training.accumulate)
        refresh = self._stage.negatives.refresh
        number = steps // refresh if refresh else 0
        if number != self._round:
            self._round = number
            self._mined = self._mine()

    def _teach(self, rows: Sequence[dict[str, Any]]) -> None:
        """Put the teacher's scores in place of the numbers of passages."""
        assert self._teacher is not None  # a stage that needs one has one
        wanted = [
            (row[QUESTION], text)
            for row in rows
            for column, text in row.items()
            if column.startswith(PASSAGE)
        ]
        missing = [pair for pair in dict.fromkeys(wanted) if pair not in self._taught]
        if missing:
            self._taught |= zip(missing, self._teacher(missing), strict=True)
        scores = iter([self._taught[pair] for pair in wanted])
        for row in rows:
            columns = [column for column in row if column.startswith(PASSAGE)]
            row["label"] = [float(next(scores)) for _ in columns]

    def state(self) -> Any:
        """Return what a resumed training needs: the negatives that were mined last."""
        return {"round": self._round, "mined": self._mined}

    def restore(self, state: Any) -> None:
        """Take up what `state` returned."""
        self._round, self._mined = state["round"], state["mined"]
