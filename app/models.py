"""The models of the program: found by name, compiled once, loaded when they are first used."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from twotower.app.settings import Settings
from twotower.retrieval.index.card import EncoderCard
from twotower.retrieval.models.encoder import Encoder, LegEncoder, PairScorer
from twotower.retrieval.models.lazy import LazyEncoder, LazyPairScorer
from twotower.retrieval.models.model_folder import ModelFolder, find_model, from_hub_cache
from twotower.retrieval.models.runtime.cache import ModelCache
from twotower.retrieval.search.rerank import RERANKERS, Reranker
from twotower.retrieval.vocabulary.errors import ConfigurationError, IndexMismatch

if TYPE_CHECKING:
    from twotower.retrieval.models.runtime import RuntimeChoice, RuntimeOptions


class ModelProvider:
    """The models that the settings and the index cards name; implements `legs.Models`.

    Parameters
    ----------
    threads
        Number of threads of each network.
    """

    def __init__(self, settings: Settings, threads: int) -> None:
        self._settings = settings
        self._threads = threads
        self.compiled = ModelCache(settings.cache_dir or platformdirs.user_cache_path("twotower"))
        self._rerankers: dict[tuple[str, int], Reranker] = {}
        self._encoders: dict[tuple[str, str], LazyEncoder] = {}
        self._loaded: dict[str, Encoder] = {}  # by fingerprint: two names may mean one model
        self._leg_encoders: dict[tuple[str, str], LegEncoder] = {}
        self._loading = threading.Lock()
        self._pair_scorer = LazyPairScorer(self._load_pair_scorer)

    @property
    def language(self) -> str:
        """See `Models.language`."""
        return self._settings.language

    @cached_property
    def settings_model(self) -> ModelFolder:
        """The files of the encoder in the settings, which new collections are built with.

        Raises
        ------
        ConfigurationError
            If there is no such model.
        """
        return self._settings_model()

    def encoder(self, card: EncoderCard | None = None) -> LazyEncoder:
        """See `Models.encoder`.

        A model that only a card names is never downloaded. The encoder raises `IndexMismatch` when
        it is first used, if the model of this name is not the one that the card describes.
        """
        key = (card.name, card.fingerprint) if card else ("", "")
        if key not in self._encoders:
            self._encoders[key] = LazyEncoder(
                (lambda: self._model_of(card)) if card else (lambda: self.settings_model),
                self._load_encoder,
            )
        return self._encoders[key]

    @property
    def prefix_dimension(self) -> int:
        """See `Models.prefix_dimension`."""
        return self._settings.prefix_dimension

    def leg_encoder(self, leg: str, card: EncoderCard | None = None) -> LegEncoder:
        """See `Models.leg_encoder`; a model that only a card names is never downloaded."""
        key = leg, card.fingerprint if card else ""
        if key not in self._leg_encoders:
            from twotower.retrieval.models.runtime.torch_runtime import (  # noqa: PLC0415 - as below
                TorchLegEncoder,
            )

            settings = self._settings
            self._leg_encoders[key] = TorchLegEncoder(
                leg,
                self._leg_model(leg, card),
                settings.precision,
                settings.batch_tokens,
                settings.trust_remote_code,
            )
        return self._leg_encoders[key]

    def _leg_model(self, leg: str, card: EncoderCard | None) -> ModelFolder:
        chosen = getattr(self._settings, leg)
        setting = f"TWOTOWER_{leg.upper()}"
        if not chosen and card is None:
            raise ConfigurationError(
                f"the leg '{leg}' has a model of its own, and {setting} is not set: train one with "
                f"`twotower train {leg}`, or name a folder or a model of the hub"
            )
        for name in dict.fromkeys(filter(None, (card.name if card else "", chosen))):
            with suppress(ConfigurationError):
                path = find_model(name, None if name == chosen else from_hub_cache, leg)
                model = ModelFolder(name, path, digests=self.compiled.digests)
                if card is None or model.fingerprint == card.fingerprint:
                    return model
        if card is None:
            find_model(chosen, None, leg)
        raise IndexMismatch(
            f"the collection was built with the {leg} model {card.name if card else chosen}, which "
            f"is not on this machine: set {setting} to its folder, or run `twotower reindex` with "
            "TWOTOWER_LEGS=dense,bm25 to do without it"
        )

    def pair_scorer(self) -> PairScorer:
        """See `Models.pair_scorer`."""
        return self._pair_scorer

    def reranker(self, name: str, encoder: Encoder) -> Reranker:
        """Return a reranker for a collection's encoder; it keeps what it computed of passages."""
        key = name, id(encoder)  # the provider keeps its encoders, so an id stays the same encoder
        if key not in self._rerankers:
            self._rerankers[key] = RERANKERS[name].create(encoder, self)
        return self._rerankers[key]

    def local_models(self) -> Iterator[ModelFolder]:
        """Find the models that the settings name, as far as they are on this machine."""
        for find in (self._settings_model, self._cross_encoder):
            with suppress(ConfigurationError):
                yield find(from_hub_cache)

    def runtime_choice(self, model: ModelFolder) -> "RuntimeChoice":
        """Choose the runtime of a model, without loading it."""
        from twotower.retrieval.models.runtime import choose_runtime  # noqa: PLC0415 - loads OpenVINO

        return choose_runtime(model, self.compiled, self._runtime_options())

    def _settings_model(self, download: Callable[[str], str] | None = None) -> ModelFolder:
        settings = self._settings
        path = find_model(settings.encoder, download)
        named = Path(settings.encoder).expanduser()
        name = str(named.resolve()) if named.is_dir() and path == named else settings.encoder
        prompts = settings.question_prompt, settings.passage_prompt
        return ModelFolder(name, path, *prompts, self.compiled.digests)

    def _model_of(self, card: EncoderCard) -> ModelFolder:
        """Find the model that a card describes: by its name, or as the one in the settings."""
        other: ModelFolder | None = None
        for name in dict.fromkeys((card.name, self._settings.encoder)):
            named_by_person = name == self._settings.encoder
            with suppress(ConfigurationError):
                path = find_model(name, None if named_by_person else from_hub_cache)
                prompts = card.question_prompt, card.passage_prompt
                model = ModelFolder(card.name, path, *prompts, self.compiled.digests)
                if model.fingerprint == card.fingerprint:
                    return model
                other = other or (model if name == card.name else None)
        if other is None:
            raise ConfigurationError(
                f"the collection was built with encoder {card.name}, which is not on this machine: "
                "set TWOTOWER_ENCODER to this model's folder or hub name, or run `twotower reindex "
                "--encoder NAME` to rebuild the collection with another encoder"
            )
        raise IndexMismatch(
            f"the collection was built with encoder {card.name} ({card.fingerprint[:12]}), but the "
            f"model of this name here is a different one ({other.fingerprint[:12]}): restore the "
            "model, or run `twotower reindex` to rebuild the collection with the present one"
        )

    def _cross_encoder(self, download: Callable[[str], str] | None = None) -> ModelFolder:
        name = self._settings.cross_encoder
        path = find_model(name, download, "cross-encoder", "config.json")
        return ModelFolder(name, path, digests=self.compiled.digests)

    def _load_encoder(self, model: ModelFolder) -> Encoder:
        from twotower.retrieval.models.runtime import load_encoder  # noqa: PLC0415 - as above

        with self._loading:
            if model.fingerprint not in self._loaded:
                options = self._runtime_options()
                self._loaded[model.fingerprint] = load_encoder(model, self.compiled, options)
            return self._loaded[model.fingerprint]

    def _load_pair_scorer(self) -> PairScorer:
        from twotower.retrieval.models.runtime import load_pair_scorer  # noqa: PLC0415 - as above

        return load_pair_scorer(self._cross_encoder(), self.compiled, self._runtime_options())

    def _runtime_options(self) -> "RuntimeOptions":
        from twotower.retrieval.models.runtime import RuntimeOptions  # noqa: PLC0415 - as above

        settings = self._settings
        return RuntimeOptions(
            settings.runtime,
            settings.precision,
            settings.batch_tokens,
            self._threads,
            settings.trust_remote_code,
        )
