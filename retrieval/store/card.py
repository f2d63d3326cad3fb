"""The index card: what a collection was built with, and the guard that compares it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from retrieval.abstention import Calibration
from retrieval.errors import IndexMismatch
from retrieval.lexical import Bm25Settings

SCHEMA = 2


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
    """

    name: str
    fingerprint: str
    dimension: int


@dataclass(frozen=True, slots=True)
class IndexCard:
    """What decides which vectors a text gets, and what was learnt about searching them.

    Attributes
    ----------
    search
        Search options that `twotower tune` found to be better here than the defaults.
    calibrations
        For each kind of reranking, how to judge whether a question is answered.
    """

    encoder: EncoderCard
    bm25: Bm25Settings
    chunking: Mapping[str, Any]
    search: Mapping[str, Any] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
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
        if payload.get("schema") != SCHEMA:
            raise IndexMismatch(
                f"collection '{collection}' has index schema {payload.get('schema')}, this program "
                f"reads {SCHEMA}: use the twotower version that wrote it, or ingest the documents "
                "into a new collection (--collection NAME)"
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
        )

    def require(
        self,
        collection: str,
        *,
        fingerprint: str,
        encoder_name: str,
        chunking: Mapping[str, Any] | None = None,
        language: str = "",
    ) -> None:
        """Refuse settings whose vectors or chunks would not fit those in the collection.

        Raises
        ------
        IndexMismatch
            Names each difference and the remedy.
        """
        differences = []
        if fingerprint != self.encoder.fingerprint:
            differences.append(
                f"encoder {self.encoder.name} ({self.encoder.fingerprint[:12]}) in the index, "
                f"{encoder_name} ({fingerprint[:12]}) in the settings"
            )
        differences += [
            f"{key} {self.chunking.get(key)} in the index, {value} in the settings"
            for key, value in (chunking or {}).items()
            if self.chunking.get(key) != value
        ]
        if language and language != self.bm25.language:
            differences.append(
                f"language {self.bm25.language} in the index, {language} in the settings"
            )
        if differences:
            raise IndexMismatch(
                f"collection '{collection}' was built with other settings: "
                + "; ".join(differences)
                + ". Restore those settings, or ingest into a new collection (--collection NAME)"
            )
