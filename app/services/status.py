"""The state of the engine, the encoder and all collections, as one JSON object."""

import importlib.metadata
from typing import Any

from twotower.app.wiring import Application
from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.vocabulary.errors import TwoTowerError


def read_status(application: Application) -> dict[str, Any]:
    """Describe settings and collections; ``error`` has the reason why one cannot be opened."""
    settings, model = application.settings, application.model()
    return {
        "data_dir": str(settings.data_dir),
        "place": application.catalog.location,
        "engine": _engine(settings.qdrant_url),
        "encoder": {
            "name": model.name,
            "fingerprint": model.fingerprint,
            "window": model.window,
            "runtime": _runtime(application),
        },
        "collections": [_entry(application, name) for name in application.catalog.names()],
    }


def _engine(url: str) -> str:
    if url:
        return f"Qdrant server, with qdrant-client {importlib.metadata.version('qdrant-client')}"
    return f"qdrant-edge {importlib.metadata.version('qdrant-edge-py')} (embedded)"


def _runtime(application: Application) -> dict[str, Any]:
    choice = application.models.runtime_choice(application.model())
    precision = application.settings.precision
    if precision == "auto" and choice.manifest is not None:
        precision = "bf16" if choice.manifest.bf16 else "fp32"
    return {
        "name": choice.runtime,
        "precision": precision,
        "compiled": choice.manifest is not None,
        "reason": choice.reason,
    }


def _entry(application: Application, name: str) -> dict[str, Any]:
    catalog = application.catalog
    entry: dict[str, Any] = {"name": name, "bytes": catalog.size(name)}
    try:
        versions = catalog.versions(name)
        with catalog.open(name, short_lived=True) as collection:
            entry |= {
                "version": versions.live,
                "previous_version": versions.previous,
                "documents": collection.count("document"),
                "chunks": collection.count("chunk"),
                **_built_with(collection.card(), application),
            }
    except TwoTowerError as error:
        entry["error"] = str(error)
    return entry


def _built_with(card: IndexCard, application: Application) -> dict[str, Any]:
    return {
        "encoder": card.encoder.name,
        "fingerprint": card.encoder.fingerprint,
        "matches_settings": card.encoder.fingerprint == application.model().fingerprint,
        "legs": [leg.name for leg in card.legs],
        "dimension": card.encoder.dimension,
        "question_map": _question_map(card),
        "quantization": card.quantization,
        "on_disk": card.on_disk,
        "chunking": dict(card.chunking),
        "bm25_avg_len": card.bm25.avg_len,
    }


def _question_map(card: IndexCard) -> dict[str, Any] | None:
    """Describe the newest question map."""
    newest = card.newest_map
    if newest is None:
        return None
    return {
        "number": newest.number,
        "learned_at": newest.learned_at,
        "learned_from": dict(newest.learned_from),
        "verdict": dict(newest.verdict),
    }
