"""The deep check of a collection, and its repair from what is sound and from the files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

from twotower.app.wiring import Application, utc_now
from twotower.ingest.chunking import ChunkSettings
from twotower.ingest.discover import content_hash
from twotower.ingest.loaders.isolation import Workers
from twotower.ingest.pipeline import Pipeline
from twotower.ingest.report import FileOutcome, IngestObserver
from twotower.ingest.sync import Plan, PlannedFile
from twotower.retrieval.index.card import IndexCard
from twotower.retrieval.index.catalog import Draft
from twotower.retrieval.index.collection import Collection
from twotower.retrieval.index.digest import document_checksum
from twotower.retrieval.index.integrity import Finding, Stored, check, read_all
from twotower.retrieval.index.replicate import Replica, commit_document
from twotower.retrieval.legs import Leg, open_legs
from twotower.retrieval.vocabulary.documents import Chunk, DocumentRecord
from twotower.retrieval.vocabulary.errors import (
    ConfigurationError,
    DocumentError,
    InUse,
    ServiceError,
    TwoTowerError,
)
from twotower.retrieval.vocabulary.ranking import LegName
from twotower.retrieval.vocabulary.vectors import Rows, Vector

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Repaired:
    """The result of a repair.

    Attributes
    ----------
    version
        The version that is live now; the damaged one is its previous version.
    kept
        Number of documents that were copied as they were.
    from_text
        Documents whose vectors were made again from their stored text.
    from_files
        Documents that were ingested again from their files.
    lost
        Documents that could not be restored, with the reason.
    """

    version: int
    kept: int
    from_text: tuple[str, ...] = ()
    from_files: tuple[str, ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)


def deep_check(
    application: Application, name: str, notify: Notify = lambda _step: None
) -> list[Finding]:
    """Read a whole collection, and compare it with its records: see `index.integrity`.

    Raises
    ------
    ConfigurationError
        If there is no such collection.
    InUse
        If another process has it open.
    """
    try:
        with application.catalog.open(name, short_lived=True) as collection:
            return check(collection, _cheap_encoders(application, collection), notify)
    except InUse:
        raise
    except ServiceError as error:
        return [Finding("store", str(error))]
    except ConfigurationError as error:
        if application.catalog.exists(name):  # its card is damaged
            return [Finding("store", str(error))]
        raise


def _cheap_encoders(
    application: Application, collection: Collection
) -> dict[str, Callable[[Sequence[str]], Rows]]:
    legs = open_legs(collection.card(), application.models)
    return {name: leg.encode_passages for name, leg in legs.items() if leg.card.kind == "sparse"}


def repair(application: Application, name: str, notify: Notify = lambda _step: None) -> Repaired:
    """Build the next version of a damaged collection, check it, and make it live.

    Documents that are sound are copied. Those whose vectors are damaged get new ones from their
    stored text, the others are ingested again from their files.

    Raises
    ------
    ServiceError
        If nothing is left that says which documents the collection had, or the new version does
        not pass the check.
    InUse
        If another process has the collection open, or builds a version.
    """
    notify("reading what is sound")
    remains = _remains(application, name)
    with application.catalog.draft(name, remains.index_card) as draft:
        legs = open_legs(draft.collection.card(), application.models)
        notify(f"copying {len(remains.sound)} documents")
        Replica(lambda: nullcontext(remains), draft.collection).run()
        notify(f"encoding {len(remains.with_text)} documents again")
        _write_again(remains, draft.collection, legs)
        notify(f"reading {len(remains.without_text)} files again")
        lost = _ingest(application, remains.without_text, draft, legs)
        notify("checking the new version")
        encoders = _cheap_encoders(application, draft.collection)
        if findings := check(draft.collection, encoders):
            raise ServiceError(
                f"the repaired version of '{name}' does not pass the check "
                f"({findings[0].problem}): run again, or ingest into a new collection"
            )
        application.catalog.publish(name, draft.version)
        return Repaired(
            draft.version,
            len(remains.sound),
            tuple(remains.with_text),
            tuple(source for source in remains.without_text if source not in lost),
            lost,
        )


@dataclass(frozen=True, slots=True)
class _Remains:
    """What is left of a damaged collection; `Replica` copies the sound documents from it.

    ``sound``, ``with_text`` and ``without_text`` divide the records of all documents.
    """

    index_card: IndexCard
    sound: dict[str, DocumentRecord]
    with_text: dict[str, DocumentRecord]
    without_text: dict[str, DocumentRecord]
    chunks: Mapping[str, list[Chunk]] = field(default_factory=dict)
    stored_vectors: Mapping[LegName, Mapping[UUID, Vector]] = field(default_factory=dict)

    def card(self) -> IndexCard:
        return self.index_card

    def documents(self) -> Iterator[DocumentRecord]:
        yield from self.sound.values()

    def document(self, source: str) -> DocumentRecord | None:
        return self.sound.get(source)

    def chunk_counts(self) -> dict[str, int]:
        return {source: len(self.chunks[source]) for source in self.sound}

    def chunks_of(self, source: str) -> list[Chunk]:
        return sorted(self.chunks[source], key=lambda chunk: chunk.position)

    def all_chunks(self) -> Iterator[Chunk]:
        for source in self.sound:
            yield from self.chunks_of(source)

    def vectors(self, name: str, ids: Sequence[UUID]) -> dict[UUID, Vector]:
        own = self.stored_vectors[name]
        return {id: own[id] for id in ids if id in own}


def _remains(application: Application, name: str) -> _Remains:
    """Read what is sound; the ledger says which documents there were."""
    catalog = application.catalog
    catalog.recover(name)
    live = catalog.versions(name).live
    if live is None:
        raise ConfigurationError(f"there is no collection '{name}' to repair")
    entries = catalog.ledger_entries(name, live)
    stored, findings, card = Stored(), [Finding("store", "")], None
    vectors: dict[LegName, Mapping[UUID, Vector]] = {}
    try:
        with catalog.open(name, short_lived=True) as collection:
            card = collection.card()
            findings = check(collection, _cheap_encoders(application, collection))
            stored = read_all(collection)
            ids = list(stored.payloads)
            vectors = {leg.name: collection.vectors(leg.name, ids) for leg in card.legs}
    except InUse:
        raise
    except TwoTowerError:
        stored = Stored()  # everything comes from the files
    if card is None and entries.card is not None:
        card = IndexCard.from_payload(entries.card, name)
    if card is None:
        raise ServiceError(
            f"nothing that is left of '{name}' says how it was built: restore a backup, or ingest "
            "the documents into a new collection"
        )
    records = {**stored.records, **entries.documents}
    damaged_vectors = {s for f in findings if f.part == "vectors" for s in f.sources}
    complete = {
        source: record
        for source, record in records.items()
        if _complete(record, stored.chunks.get(source, []))
    }
    return _Remains(
        card,
        {s: r for s, r in complete.items() if s not in damaged_vectors},
        {s: r for s, r in complete.items() if s in damaged_vectors},
        {s: r for s, r in records.items() if s not in complete},
        stored.chunks,
        vectors,
    )


def _complete(record: DocumentRecord, chunks: Sequence[Chunk]) -> bool:
    """Whether a document's text is as it was ingested."""
    if len(chunks) != record.chunks:
        return False
    return not record.checksum or document_checksum(chunks) == record.checksum


def _write_again(remains: _Remains, target: Collection, legs: Mapping[LegName, Leg]) -> None:
    """Write documents with new vectors, made from their stored text."""
    for record in remains.with_text.values():
        chunks = sorted(remains.chunks[record.source], key=lambda chunk: chunk.position)
        texts = [chunk.encoded_text for chunk in chunks]
        target.write_chunks(chunks, {n: leg.encode_passages(texts) for n, leg in legs.items()})
        commit_document(target, record, chunks, {})


def _ingest(
    application: Application,
    records: Mapping[str, DocumentRecord],
    draft: Draft,
    legs: Mapping[str, Leg],
) -> dict[str, str]:
    """Ingest files again into a draft; return the documents that are lost, with the reason."""
    files = [_planned(record, application) for record in records.values()]
    settings, card = application.settings, draft.collection.card()
    draft.collection.is_live = lambda: True  # nobody else writes to a draft
    pipeline = Pipeline(
        collection=draft.collection,
        create=lambda _card: draft.collection,
        legs=lambda _texts: legs,
        model=application.models.encoder(card.encoder).model,
        settings=ChunkSettings(**card.chunking),
        limits=application.limits(),
        now=utc_now,
        observer=IngestObserver(),
    )
    outcomes: list[FileOutcome] = []
    if files:
        with Workers(
            application.parse_workers(), settings.parse_seconds, settings.parse_memory_mb
        ) as workers:
            outcomes = list(pipeline.run(Plan(tuple(files)), workers))
    for outcome in outcomes:
        _keep_time(draft.collection, records[outcome.source])
    return {outcome.source: outcome.reason for outcome in outcomes if outcome.status == "failed"}


def _planned(record: DocumentRecord, application: Application) -> PlannedFile:
    path, root = Path(record.root, record.source), Path(record.root)
    try:
        digest, size = content_hash(path, application.settings.max_file_mb * 2**20)
    except DocumentError as error:
        return PlannedFile(path, root, record.source, "", 0, "fail", error=error)
    return PlannedFile(path, root, record.source, digest, size, "add")


def _keep_time(collection: Collection, before: DocumentRecord) -> None:
    """Keep the time of ingestion of a document whose file is as it was."""
    record = collection.document(before.source)
    if record is not None and record.content_hash == before.content_hash:
        collection.write_document(replace(record, ingested_at=before.ingested_at))
