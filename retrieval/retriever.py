"""From a question to ranked, cited passages: the pipeline, read top to bottom."""

from collections.abc import Callable, Sequence
from uuid import UUID

from retrieval.collection import Collection
from retrieval.encoder import Encoder
from retrieval.errors import ConfigurationError
from retrieval.fusion import convex, ordered
from retrieval.lexical import Bm25
from retrieval.store.protocol import BM25, DENSE, Leg
from retrieval.types import Hit, LegName, LegScore, Mode, Scored

MAX_LIMIT = 10_000
_LEGS: dict[Mode, tuple[LegName, ...]] = {
    "hybrid": (DENSE, BM25),
    "dense": (DENSE,),
    "bm25": (BM25,),
}


class Retriever:
    """Searches one collection.

    Parameters
    ----------
    collection
        An open collection that has a card.
    encoder
        Makes the encoder when a mode first needs it: a BM25 search never loads a model.
    depth
        Candidates that each leg returns for fusion.
    dense_weight
        Weight of the dense leg in the fusion, in [0, 1]; the BM25 leg has the rest.
    max_question_chars
        A longer question is refused.
    """

    def __init__(
        self,
        collection: Collection,
        encoder: Callable[[], Encoder],
        depth: int = 100,
        dense_weight: float = 0.5,
        max_question_chars: int = 10_000,
    ) -> None:
        card = collection.card()
        if card is None:
            raise ConfigurationError(
                f"collection '{collection.name}' is empty: run `twotower ingest PATH` first"
            )
        self._collection = collection
        self._card = card
        self._encoder = encoder
        self._bm25 = Bm25(card.bm25)
        self._depth = depth
        self._dense_weight = dense_weight
        self._max_question_chars = max_question_chars

    def retrieve(self, question: str, mode: Mode = "hybrid", limit: int = 10) -> list[Hit]:
        """Find the passages that answer a question best.

        Returns
        -------
        list[Hit]
            At most ``limit`` hits, best first; empty where no leg returned anything.

        Raises
        ------
        ConfigurationError
            For an empty or an overlong question, or a limit below 1.
        IndexMismatch
            If the collection's vectors come from another encoder.
        """
        question = self._checked(question, limit)
        legs = [self._leg(name, question) for name in _LEGS[mode]]
        rankings = self._collection.search(legs, max(self._depth, limit))
        fused = self._fuse(rankings)[:limit]
        chunks = {chunk.id: chunk for chunk in self._collection.chunks([s.id for s in fused])}
        places = _places([leg.name for leg in legs], rankings)
        found = [item for item in fused if item.id in chunks]
        return [
            Hit(rank, item.score, chunks[item.id], _legs_of(item.id, places))
            for rank, item in enumerate(found, start=1)
        ]

    def matches(self, question: str, text: str) -> list[tuple[int, int]]:
        """Find the words of a passage that share a BM25 term with the question: offsets."""
        return list(self._bm25.matches(question, text))

    def _checked(self, question: str, limit: int) -> str:
        question = question.strip()
        if not question:
            raise ConfigurationError("the question is empty: type what you are looking for")
        if len(question) > self._max_question_chars:
            raise ConfigurationError(
                f"the question has {len(question):,} characters, the limit is "
                f"{self._max_question_chars:,} (TWOTOWER_MAX_QUESTION_CHARS): shorten it"
            )
        if not 1 <= limit <= MAX_LIMIT:
            raise ConfigurationError(
                f"the limit is {limit}: ask for at least 1 hit and at most {MAX_LIMIT:,}"
            )
        return question

    def _leg(self, name: LegName, question: str) -> Leg:
        if name == BM25:
            return Leg(self._bm25.encode_question(question))
        encoder = self._encoder()
        self._card.require(
            self._collection.name,
            fingerprint=encoder.model.fingerprint,
            encoder_name=encoder.model.name,
        )
        return Leg(encoder.encode_questions([question])[0])

    def _fuse(self, rankings: Sequence[list[Scored]]) -> list[Scored]:
        if len(rankings) == 1:
            return ordered(rankings[0])
        weights = (self._dense_weight, 1.0 - self._dense_weight)
        return convex(rankings, weights, self._depth)


def _places(
    names: Sequence[LegName], rankings: Sequence[Sequence[Scored]]
) -> dict[LegName, dict[UUID, LegScore]]:
    places: dict[LegName, dict[UUID, LegScore]] = {DENSE: {}, BM25: {}}
    for name, ranking in zip(names, rankings, strict=True):
        for rank, item in enumerate(ranking, start=1):
            places[name][item.id] = LegScore(rank, item.score)
    return places


def _legs_of(
    id: UUID, places: dict[LegName, dict[UUID, LegScore]]
) -> dict[LegName, LegScore | None]:
    return {name: scores.get(id) for name, scores in places.items()}
