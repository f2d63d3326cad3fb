"""The index card: what a collection was built with, and the guard that compares it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from twotower.retrieval.index.store.protocol import Quantization, VectorSpec
from twotower.retrieval.models.bm25 import Bm25Settings
from twotower.retrieval.models.model_folder import ModelFolder
from twotower.retrieval.models.question_map import QuestionMap
from twotower.retrieval.vocabulary.errors import IndexMismatch
from twotower.retrieval.vocabulary.vectors import VectorKind

SCHEMA = 4
_OLDEST = 3  # schema that is still read
# Changes whenever the same text gets other terms: the terms of an index have to fit a question's.
_ANALYSIS = "analysis=2"


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic model of "this question is answered", for one kind of reranking.

    Attributes
    ----------
    weights
        Weights by feature, on the features' own scales.
    questions
        Number of questions that the model was fitted on.
    auc
        Area under the ROC curve on questions that the model was not fitted on.
    """

    weights: Mapping[str, float]
    bias: float
    questions: int
    auc: float


@dataclass(frozen=True, slots=True)
class EncoderCard:
    """The encoder that made a leg's vectors.

    Attributes
    ----------
    name
        Name of the encoder in the settings; shown to people, never compared.
    fingerprint
        Hash of weights, tokenizer, pooling and prompts: see `ModelFolder`.
    dimension
        Length of a vector.
    question_prompt, passage_prompt
        Prompts in the settings; ``None`` stands for the prompt that the model configures.
    """

    name: str
    fingerprint: str
    dimension: int
    question_prompt: str | None = None
    passage_prompt: str | None = None

    @classmethod
    def of(cls, model: ModelFolder, dimension: int) -> "EncoderCard":
        """Describe a model."""
        prompts = model.question_prompt, model.passage_prompt
        return cls(model.name, model.fingerprint, dimension, *prompts)


@dataclass(frozen=True, slots=True)
class LegCard:
    """One named vector of a collection, and what made it.

    Attributes
    ----------
    kind, dimension
        See `twotower.retrieval.index.store.protocol.VectorSpec`.
    fingerprint
        Identity of the maker of the vectors: vectors with equal fingerprints are comparable.
    made_by
        Settings of the maker: shown to people, and enough to make the leg again.
    maps
        Versions of the question map of a dense leg, the newest last; they change no passage.
    """

    name: str
    kind: VectorKind
    dimension: int | None
    fingerprint: str
    made_by: Mapping[str, Any]
    maps: tuple[QuestionMap, ...] = ()

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> "LegCard":
        """Read a leg's entry back."""
        maps = tuple(QuestionMap(**each) for each in payload.get("maps", ()))
        return cls(**{**payload, "maps": maps})

    @property
    def question_map(self) -> QuestionMap | None:
        """The question map in use: the newest one.

        Raises
        ------
        IndexMismatch
            If it was learned for another encoder.
        """
        newest = self.maps[-1] if self.maps else None
        if newest and newest.encoder != self.fingerprint:
            raise IndexMismatch(
                f"the question map {newest.number} was learned for another encoder than that of "
                f"the leg '{self.name}': run `twotower rollback` to remove it, then "
                "`twotower train` to learn it again"
            )
        return newest

    @property
    def spec(self) -> VectorSpec:
        """The named vector as a store creates it."""
        return VectorSpec(self.name, self.kind, self.dimension)


def dense_leg(encoder: EncoderCard, name: str = "dense") -> LegCard:
    """Describe a dense leg: one vector of an encoder for each chunk."""
    return LegCard(name, "dense", encoder.dimension, encoder.fingerprint, asdict(encoder))


def bm25_leg(settings: Bm25Settings, name: str = "bm25") -> LegCard:
    """Describe a BM25 leg.

    The mean passage length is not in the fingerprint: it is measured on what a collection began
    with.
    """
    fingerprint = f"{_bm25_fingerprint(settings)} {_ANALYSIS}"
    return LegCard(name, "sparse", None, fingerprint, asdict(settings))


def _bm25_fingerprint(settings: Bm25Settings) -> str:
    return f"bm25 k1={settings.k1:g} b={settings.b:g} {settings.language}"


@dataclass(frozen=True, slots=True)
class IndexCard:
    """The settings that decide the vectors of a text, and the results of tuning and calibration.

    Attributes
    ----------
    legs
        Named vectors of the collection, each with its own name.
    search
        Search options that `twotower tune` found to be better here than the defaults.
    calibrations
        For each kind of reranking, the model that judges whether a question is answered.
    quantization, on_disk
        Layout of the vectors: see `twotower.retrieval.index.store.protocol.StoreOptions`.
    """

    legs: tuple[LegCard, ...]
    chunking: Mapping[str, Any]
    search: Mapping[str, Any] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    quantization: Quantization = "none"
    on_disk: bool = False
    schema: int = SCHEMA

    def leg(self, name: str) -> LegCard | None:
        """Find a leg by its name."""
        return next((leg for leg in self.legs if leg.name == name), None)

    @property
    def newest_map(self) -> QuestionMap | None:
        """The question map with the highest number of all legs."""
        newest = [leg.maps[-1] for leg in self.legs if leg.maps]
        return max(newest, key=lambda each: each.number, default=None)

    def with_maps(self, maps: Mapping[str, tuple[QuestionMap, ...]]) -> "IndexCard":
        """Return the card with other question maps for the legs that are named."""
        legs = (replace(leg, maps=maps.get(leg.name, leg.maps)) for leg in self.legs)
        return replace(self, legs=tuple(legs))

    @property
    def specs(self) -> list[VectorSpec]:
        """The named vectors as a store creates them."""
        return [leg.spec for leg in self.legs]

    @property
    def encoder(self) -> EncoderCard:
        """The encoder of the first leg that has one.

        Raises
        ------
        IndexMismatch
            If no leg has an encoder.
        """
        for leg in self.legs:
            if leg.made_by.keys() == _ENCODER:
                return EncoderCard(**leg.made_by)
        raise self._lacks("an encoder")

    @property
    def bm25(self) -> Bm25Settings:
        """The settings of the leg ``bm25``.

        Raises
        ------
        IndexMismatch
            If there is no such leg.
        """
        leg = self.leg("bm25")
        if leg is None:
            raise self._lacks("BM25")
        return Bm25Settings(**leg.made_by)

    def to_payload(self) -> dict[str, Any]:
        """Turn the card into a JSON object."""
        return {"kind": "card", **asdict(self), "legs": [asdict(leg) for leg in self.legs]}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any], collection: str) -> "IndexCard":
        """Read a card back.

        Raises
        ------
        IndexMismatch
            If its schema is newer than this program's, or too old to be read.
        """
        schema = payload.get("schema", 0)
        if schema > SCHEMA:
            raise IndexMismatch(
                f"collection '{collection}' was written by a newer twotower (index schema "
                f"{schema}, this one reads {_OLDEST} to {SCHEMA}): upgrade twotower"
            )
        if schema < _OLDEST:
            raise IndexMismatch(
                f"collection '{collection}' was written by an older twotower (index schema "
                f"{schema}, this one reads {_OLDEST} to {SCHEMA}): run `twotower ingest` to bring "
                "the documents into a new collection"
            )
        if schema < SCHEMA:
            payload = _from_schema_3(payload)
        return cls(
            legs=tuple(LegCard.from_payload(leg) for leg in payload["legs"]),
            chunking=dict(payload["chunking"]),
            search=dict(payload["search"]),
            calibrations={
                kind: Calibration(**calibration)
                for kind, calibration in payload["calibrations"].items()
            },
            quantization=payload["quantization"],
            on_disk=payload["on_disk"],
        )

    def builds_like(self, other: "IndexCard") -> bool:
        """Whether a collection with this card gets the same vectors, laid out in the same way."""
        return _what_builds(self) == _what_builds(other)

    def require(
        self,
        collection: str,
        chunking: Mapping[str, Any],
        language: str = "",
    ) -> None:
        """Refuse settings for new documents that would not fit those in the collection.

        Parameters
        ----------
        language
            The language of BM25; it is not compared where it is empty.

        Raises
        ------
        IndexMismatch
            If something differs; the message names each difference and the remedy.
        """
        differences = []
        if language and self.leg("bm25") and language != self.bm25.language:
            differences.append(
                f"language {self.bm25.language} in the index, {language} in the settings"
            )
        bm25 = self.leg("bm25")
        if bm25 and bm25.fingerprint != bm25_leg(self.bm25).fingerprint:
            differences.append("terms of BM25 from another version of twotower in the index")
        cut = [
            f"{key} {self.chunking.get(key)} in the index, {value} in the settings"
            for key, value in chunking.items()
            if self.chunking.get(key) != value
        ]
        if not differences and not cut:
            return
        remedy = "Restore those settings, or "
        if cut:  # the stored text is cut already: only the files can be cut again
            remedy += "ingest into a new collection"
        else:
            remedy += "run `twotower reindex` to build the collection with the present settings"
        raise IndexMismatch(
            f"collection '{collection}' was built with different settings: "
            f"{'; '.join(differences + cut)}. {remedy}"
        )

    def _lacks(self, what: str) -> IndexMismatch:
        names = ", ".join(leg.name for leg in self.legs) or "none"
        return IndexMismatch(
            f"the collection has no leg with {what} (its legs: {names}): choose another "
            "collection, or search it without that leg"
        )


_ENCODER = {each.name for each in fields(EncoderCard)}


def _what_builds(card: IndexCard) -> tuple[object, ...]:
    legs = {leg.name: (leg.kind, leg.dimension, leg.fingerprint) for leg in card.legs}
    return legs, dict(card.chunking), card.quantization, card.on_disk


def _from_schema_3(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Read a card of the time when every collection had the legs ``dense`` and ``bm25``."""
    search = dict(payload["search"])
    if "dense_weight" in search:
        weight = search.pop("dense_weight")
        search["weights"] = {"dense": weight, "bm25": 1 - weight}
    settings = Bm25Settings(**payload["bm25"])
    bm25 = replace(bm25_leg(settings), fingerprint=_bm25_fingerprint(settings))  # other terms
    legs = dense_leg(EncoderCard(**payload["encoder"])), bm25
    return {**payload, "legs": [asdict(leg) for leg in legs], "search": search}
