"""The checks of `twotower doctor`: whether everything that is configured works, and what helps."""

import importlib.metadata
import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twotower.app.answering.llm import load_generate
from twotower.app.wiring import Application
from twotower.ingest.loaders import ocr
from twotower.ingest.loaders.ocr import tesseract
from twotower.retrieval.vocabulary.errors import TwoTowerError

State = Literal["ok", "off", "warning", "failed"]

_LEAST_FREE = 500 * 2**20  # bytes; writing stops below 200 MB
_EXTRAS: Mapping[str, tuple[str, ...]] = {  # modules that each extra brings
    "eval": ("ir_measures", "matplotlib", "sklearn", "scipy"),
    "train": ("datasets", "accelerate"),
    "llm": ("langchain_openai",),
    "login": ("authlib",),
}
_PROBE = "The quick brown fox jumps over the lazy dog."


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one check.

    Attributes
    ----------
    state
        ``ok``; ``off`` for an optional part that is not configured or not installed; ``warning``
        for something that will be in the way; ``failed`` for something configured that does not
        work.
    detail
        What was observed.
    remedy
        What to do about it; empty where nothing is to be done.
    """

    check: str
    state: State
    detail: str
    remedy: str = ""


Check = Callable[[Application], Iterator[Diagnosis]]


def examine(application: Application) -> Iterator[Diagnosis]:
    """Run every check, in an order in which a failure explains those after it."""
    for name, check in _CHECKS.items():
        try:
            yield from check(application)
        except TwoTowerError as error:
            detail, _, remedy = str(error).partition(": ")
            yield Diagnosis(name, "failed", detail, remedy)


def _data_directory(application: Application) -> Iterator[Diagnosis]:
    folder = application.settings.data_dir
    yield _writable("data directory", folder, "TWOTOWER_DATA_DIR")


def _cache_directory(application: Application) -> Iterator[Diagnosis]:
    yield _writable("cache directory", application.models.compiled.folder, "TWOTOWER_CACHE_DIR")


def _writable(check: str, folder: Path, setting: str) -> Diagnosis:
    """Write a file where the folder is or would be, and look at the free space."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Diagnosis(
            check, "failed", f"{folder} is not writable ({error.strerror})",
            f"change its permissions, or set {setting} to another folder",
        )  # fmt: skip
    detail = f"{folder} is writable, {free / 2**30:.1f} GB are free"
    if free < _LEAST_FREE:
        return Diagnosis(check, "warning", detail, "free some space: ingestion stops at 200 MB")
    return Diagnosis(check, "ok", detail)


def _engine(application: Application) -> Iterator[Diagnosis]:
    check = "Qdrant server" if application.settings.qdrant_url else "engine"
    yield Diagnosis(check, "ok", application.catalog.probe())


def _encoder(application: Application) -> Iterator[Diagnosis]:
    model = application.model()
    choice = application.models.runtime_choice(model)
    if choice.runtime == "openvino" and choice.manifest is None:
        yield Diagnosis(
            "compiled model", "warning", f"{model.name} is not compiled yet",
            "run `twotower encoder compile`; else the first use compiles it",
        )  # fmt: skip
    vector = application.encoder().encode_passages([_PROBE])
    reason = f" ({choice.reason})" if choice.reason else ""
    yield Diagnosis(
        "encoder", "ok",
        f"{model.name} ({model.fingerprint[:12]}) runs on {choice.runtime}{reason}: "
        f"{vector.shape[1]} dimensions, {model.window} tokens",
    )  # fmt: skip


def _collections(application: Application) -> Iterator[Diagnosis]:
    names = application.catalog.names()
    if not names:
        yield Diagnosis("collections", "off", "there is none yet", "run `twotower ingest PATH`")
    for name in names:
        check = f"collection {name}"
        try:
            with application.catalog.open(name, short_lived=True) as collection:
                counts = collection.count("document"), collection.count("chunk")
                card = collection.card()
            _ = application.models.encoder(card.encoder).model
        except TwoTowerError as error:
            yield Diagnosis(check, "failed", str(error))
        else:
            yield Diagnosis(check, "ok", f"{counts[0]} documents, {counts[1]} passages")


def _ocr(application: Application) -> Iterator[Diagnosis]:
    choice = application.settings.ocr
    engines = ocr.engines(choice)
    if engines:
        detail = f"{' and '.join(engines)} read pictures and scanned pages"
        if "tesseract" in engines:
            languages = application.settings.ocr_languages or "+".join(tesseract.used())
            detail = f"{detail}; languages of tesseract: {languages}"
        yield Diagnosis("OCR", "ok", detail)
    else:
        detail = "pictures and scanned pages are left out"
        yield Diagnosis("OCR", "off", detail, ocr.remedy(choice))


def _language_model(application: Application) -> Iterator[Diagnosis]:
    settings = application.settings
    generate = load_generate(settings)
    if generate is None:
        yield Diagnosis(
            "language model", "off", "none is set, so `twotower ask` quotes sentences",
            "set TWOTOWER_LLM, for instance to ollama:qwen3",
        )  # fmt: skip
        return
    pieces = "".join(generate([("human", "Answer with the word ready.")]))
    yield Diagnosis("language model", "ok", f"{settings.llm} answers ({pieces.strip()[:40]!r})")


def _extras(_application: Application) -> Iterator[Diagnosis]:
    for extra, modules in _EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            yield Diagnosis(
                f"extra {extra}", "off", f"{', '.join(missing)} is not installed",
                f"pip install 'twotower[{extra}]'",
            )  # fmt: skip
        else:
            yield Diagnosis(f"extra {extra}", "ok", "installed")


_CHECKS: Mapping[str, Check] = {
    "data directory": _data_directory,
    "cache directory": _cache_directory,
    "engine": _engine,
    "encoder": _encoder,
    "collections": _collections,
    "OCR": _ocr,
    "language model": _language_model,
    "extras": _extras,
}
