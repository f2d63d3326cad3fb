"""The index card: what a collection was built with, and the guard that compares it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from retrieval.abstention import Calibration
from retrieval.errors import IndexMismatch
from retrieval.lexical import Bm25Settings
from retrieval.model_folder import ModelFolder
from retrieval.store.protocol import Quantization

SCHEMA = 3


@dataclass(frozen=True, slots=True)
class EncoderCard:
    """Which encoder made a collection's vectors.

    Attributes
    ----------
    name
        As the settings call it; told to people, never compared.
    fingerprint
        Of weights, tokenizer, pooling and prompts: see `retrieval.model_folder.ModelFolder`.
    dimension
        Of a vector.
    question_prompt, passage_prompt
        As set; ``None`` is what the model configures.
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
class IndexCard:
    """What decides which vectors a text gets, and what was learnt about searching them.

    Attributes
    ----------
    search
        Search options that `twotower tune` found to be better here than the defaults.
    calibrations
        For each kind of reranking, how to judge whether a question is answered.
    quantization, on_disk
        How the dense vectors are kept: see `retrieval.store.protocol.StoreOptions`.
    """

    encoder: EncoderCard
    bm25: Bm25Settings
    chunking: Mapping[str, Any]
    search: Mapping[str, Any] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    quantization: Quantization = "none"
    on_disk: bool = False
    schema: int = SCHEMA

    def to_payload(self) -> dict[str, Any]:
        """Turn the card into a JSON object."""
        return {"kind": "card", **asdict(self)}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any], collection: str) -> "IndexCard":
        """Read a card back.

        Raises
        ------
        IndexMismatch
            If it was written by another version of the schema.
        """
        schema = payload.get("schema", 0)
        if schema > SCHEMA:
            raise IndexMismatch(
                f"collection '{collection}' was written by a newer twotower (index schema "
                f"{schema}, this one reads {SCHEMA}): upgrade twotower"
            )
        if schema != SCHEMA:
            raise IndexMismatch(
                f"collection '{collection}' was written by an older twotower (index schema "
                f"{schema}, this one reads {SCHEMA}): ingest the documents into a new collection "
                "(--collection NAME)"
            )
        return cls(
            encoder=EncoderCard(**payload["encoder"]),
            bm25=Bm25Settings(**payload["bm25"]),
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
        """Whether a collection with this card gets the same vectors, laid out in the same way.

        BM25's mean passage length may differ: it is measured on what a collection began with.
        """
        return _what_builds(self) == _what_builds(other)

    def require(
        self,
        collection: str,
        model: ModelFolder,
        chunking: Mapping[str, Any] | None = None,
        language: str = "",
    ) -> None:
        """Refuse settings whose vectors or chunks would not fit those in the collection.

        Parameters
        ----------
        chunking, language
            Where documents are to be written; a search depends on neither.

        Raises
        ------
        IndexMismatch
            Names each difference, and the command that mends it.
        """
        mended = self._encoder_differences(model)
        if language and language != self.bm25.language:
            mended.append(f"language {self.bm25.language} in the index, {language} in the settings")
        lasting = [
            f"{key} {self.chunking.get(key)} in the index, {value} in the settings"
            for key, value in (chunking or {}).items()
            if self.chunking.get(key) != value
        ]
        if not mended and not lasting:
            return
        remedy = "Restore those settings, or "
        if lasting:  # the stored text is cut already: only the files can be cut anew
            remedy += "ingest into a new collection (--collection NAME)"
        else:
            remedy += "run `twotower reindex` to bring the collection to the present ones"
        raise IndexMismatch(
            f"collection '{collection}' was built with other settings: "
            f"{'; '.join(mended + lasting)}. {remedy}"
        )

    def _encoder_differences(self, model: ModelFolder) -> list[str]:
        built = self.encoder
        if model.fingerprint == built.fingerprint:
            return []
        old, new = built.fingerprint[:12], model.fingerprint[:12]
        differences = [
            f"encoder {built.name} ({old}) in the index, {model.name} ({new}) in the settings"
        ]
        for what in ("question_prompt", "passage_prompt"):
            was, set_now = getattr(built, what), getattr(model, what)
            if was != set_now:
                name = what.replace("_", " ")
                differences.append(f"{name} {was!r} in the index, {set_now!r} in the settings")
        return differences


def _what_builds(card: IndexCard) -> tuple[object, ...]:
    return (
        card.encoder.fingerprint,
        card.encoder.dimension,
        replace(card.bm25, avg_len=0.0),
        dict(card.chunking),
        card.quantization,
        card.on_disk,
    )
