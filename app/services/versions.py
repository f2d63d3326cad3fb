"""Versions of a collection: rebuild it with other settings, roll back, remove old versions."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from twotower.app.services.copies import Built, Progress, ShouldStop, publish
from twotower.app.wiring import Application
from twotower.retrieval.index.card import EncoderCard, IndexCard
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.replicate import Replica
from twotower.retrieval.legs import LEGS, Leg, Models, open_legs
from twotower.retrieval.models.bm25 import check_language
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.models.model_folder import ModelFolder, count_prompt_tokens, load_tokenizer
from twotower.retrieval.vocabulary.errors import ConfigurationError

_ENCODER = {"encoder", "question_prompt", "passage_prompt"}
# Settings that change a leg, where they are not those of the encoder.
_CHANGED_BY = {
    "colbert": {"colbert"},
    "splade": {"splade"},
    "short": {*_ENCODER, "prefix_dimension"},
}
_SAMPLE = 1000  # chunks whose lengths are measured
_FEW = 0.05  # largest share of chunks whose last words an encoder may cut off


def reindex(
    application: Application,
    name: str,
    progress: Progress,
    should_stop: ShouldStop = lambda: False,
    *,
    force: bool = False,
    opens: Callable[[], AbstractContextManager[Collection]] | None = None,
) -> Built | None:
    """Build the next version of a collection with the present settings, from its stored text.

    The encoder of the collection stays unless the settings name one explicitly.

    Parameters
    ----------
    force
        True to build it even where nothing differs.
    opens
        Function that opens the live version, where this process has it open already.

    Returns
    -------
    Built | None
        ``None`` where nothing differs.

    Raises
    ------
    ConfigurationError
        If the encoder reads fewer tokens than many of the chunks have.
    InUse
        If another process builds a version.
    """
    catalog = application.catalog
    opens = opens or (lambda: catalog.open(name, short_lived=True, wait=True))
    with opens() as live:  # briefly: compiling an encoder takes seconds
        card = live.card()
        texts = [chunk.encoded_text for chunk in live.chunks(live.some_ids(_SAMPLE))]
    wanted, changed = wanted_build(application, card, texts, name)
    if wanted.builds_like(card) and not force:
        return None
    before = catalog.versions(name).live
    assert before is not None  # it was just opened
    with catalog.draft(name, wanted) as draft:
        drafted = open_legs(draft.collection.card(), application.models)
        encode = {leg: drafted[leg].encode_passages for leg in changed}
        replica = Replica(opens, draft.collection, encode, progress)
        finished = replica.run(should_stop)
        if finished:
            with opens() as live:
                known = {record.source: record for record in live.documents()}
                published = draft.collection.card()
                if not changed:
                    published = _with_tuning(published, live.card())
                publish(catalog, draft, replica, live, published, exact=False)
            # A server's collection cannot be locked: copy what was written to the old version.
            with catalog.open_version(name, before, short_lived=True, wait=True) as old:
                replica.follow(old, known)
        built = Built.of(draft, replica, finished)
        forgotten = card.newest_map if draft.collection.card().newest_map is None else None
        return replace(built, forgotten_map=forgotten.number if forgotten else None)


def wanted_build(
    application: Application, card: IndexCard, texts: Sequence[str], name: str
) -> tuple[IndexCard, list[str]]:
    """Return the card that the present settings give, and the legs that are encoded again.

    Parameters
    ----------
    texts
        Some of the collection's passages.

    Raises
    ------
    ConfigurationError
        If the encoder reads fewer tokens than many of the chunks have.
    """
    legs = _wanted_legs(application, card, texts)
    wanted = _wanted_card(application, card, legs, texts, name)
    return wanted, [leg for leg, made in legs.items() if not _same(card, made)]


def _with_tuning(card: IndexCard, present: IndexCard) -> IndexCard:
    """Keep what was learned for the same legs: tuned options, calibrations, question maps."""
    card = card.with_maps({leg.name: leg.maps for leg in present.legs})
    return replace(card, search=present.search, calibrations=present.calibrations)


class _EncoderOfCard:
    """The models of the program, with the encoder of a collection in place of the settings'."""

    def __init__(self, models: Models, card: EncoderCard) -> None:
        self._models = models
        self._card = card
        self.language = models.language
        self.prefix_dimension = models.prefix_dimension
        self.leg_encoder = models.leg_encoder
        self.pair_scorer = models.pair_scorer

    def encoder(self, card: EncoderCard | None = None) -> Encoder:
        """See `Models.encoder`."""
        return self._models.encoder(card or self._card)


def _wanted_legs(
    application: Application, card: IndexCard, texts: Sequence[str]
) -> Mapping[str, Leg]:
    """Keep each leg that the present settings would make again, and make the others."""
    settings = application.settings
    explicit = settings.model_fields_set
    check_language(settings.language)
    names = settings.legs if "legs" in explicit else [leg.name for leg in card.legs]
    models: Models = application.models
    if not explicit & _ENCODER:
        models = _EncoderOfCard(application.models, card.encoder)
    present = open_legs(card, application.models)
    legs: dict[str, Leg] = {}
    for name in names:
        old = present.get(name)
        keep = old is not None and (
            (old.card.kind != "sparse" and not explicit & _CHANGED_BY.get(name, _ENCODER))
            or old.card.fingerprint == LEGS[name].fingerprint(models)
        )
        legs[name] = old if old is not None and keep else LEGS[name].create(name, models, texts)
    return legs


def _wanted_card(
    application: Application,
    card: IndexCard,
    legs: Mapping[str, Leg],
    texts: Sequence[str],
    name: str,
) -> IndexCard:
    """Return the card that the collection gets with the present settings."""
    settings, chunking = application.settings, card.chunking
    wanted = IndexCard(tuple(leg.card for leg in legs.values()), chunking)
    model = application.models.encoder(wanted.encoder).model
    cut = {"strategy": settings.chunking, "overlap_tokens": settings.overlap_tokens}
    if settings.chunk_tokens:
        cut["chunk_tokens"] = settings.chunk_tokens - count_prompt_tokens(model)
    if any(chunking[key] != value for key, value in cut.items()):
        card.require(name, {**chunking, **cut})  # chunks can be cut again only from the files
    if wanted.encoder.fingerprint != card.encoder.fingerprint:
        reads = model.window - count_prompt_tokens(model)
        _require_readable(model, texts, reads, name)
        tokens = min(chunking["chunk_tokens"], reads)
        wanted = replace(wanted, chunking={**chunking, "chunk_tokens": tokens})
    return application.catalog.with_layout(wanted)


def _same(card: IndexCard, leg: Leg) -> bool:
    old = card.leg(leg.card.name)
    return old is not None and old.fingerprint == leg.card.fingerprint


def _require_readable(model: ModelFolder, texts: Sequence[str], reads: int, name: str) -> None:
    """Refuse an encoder that would cut off the ends of many chunks."""
    lengths = [len(encoding.ids) for encoding in load_tokenizer(model.path).encode_batch(texts)]
    longer = sum(length > reads for length in lengths)
    if longer > _FEW * len(lengths):
        raise ConfigurationError(
            f"{longer} of {len(lengths)} chunks of '{name}' are longer than the {reads} tokens "
            f"that encoder {model.name} reads, so searches would not find their ends: ingest the "
            "files into a new collection"
        )
