"""Versions of collections, as the command line and the web page make them: re-index, copy, back up.

Each builds a draft that nobody searches, brings it level with what it is made from, checks it, and
puts it live in one step; see `ingest.replicate` for why it can be killed anywhere.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from app.wiring import Application
from ingest.backup import Backup
from ingest.replicate import Opens, Replica, Source, check_searches, checksum, difference
from retrieval.catalog import Catalog, check_name
from retrieval.collection import Collection
from retrieval.errors import ConfigurationError, ServiceError
from retrieval.lexical import Bm25, Bm25Settings, check_language, fitted
from retrieval.model_folder import ModelFolder, count_tokens, load_tokenizer
from retrieval.store.card import EncoderCard, IndexCard

_SAMPLE = 1000  # chunks that lengths are measured on
_FEW = 0.05  # of the chunks may lose their last words to an encoder that reads less

Progress = Callable[[int, int], None]
Stopped = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Built:
    """What became of the work.

    Attributes
    ----------
    name
        Of the collection.
    version
        That is live now; 0 for a backup.
    documents, chunks
        In it.
    encoded
        Chunks that were encoded in this run.
    resumed
        Whether a run before had done part of the work.
    finished
        False where it was stopped; run again to go on.
    """

    name: str
    version: int
    documents: int
    chunks: int
    encoded: int
    resumed: bool
    finished: bool = True


def reindex(
    application: Application,
    name: str,
    progress: Progress,
    stopped: Stopped = lambda: False,
    *,
    force: bool = False,
    opens: Callable[[], AbstractContextManager[Collection]] | None = None,
) -> Built | None:
    """Build a collection's next version with the present settings from the text stored in it.

    Parameters
    ----------
    force
        Build it where nothing differs as well.
    opens
        Opens the live version for a moment, where this process has it open already.

    Returns
    -------
    Built | None
        ``None`` where nothing differs.

    Raises
    ------
    ConfigurationError
        If the encoder does not read as much as many chunks have.
    InUse
        If another process works on a version.
    """
    catalog = application.catalog
    opens = opens or (lambda: catalog.open(name, brief=True, patient=True))
    with opens() as live:  # for a moment: an encoder that is compiled first takes seconds
        card = live.card()
        texts = [chunk.encoded_text for chunk in live.chunks(live.some_ids(_SAMPLE))]
    wanted = _wanted(application, card, texts, name)
    if wanted.builds_like(card) and not force:
        return None
    encodes = wanted.encoder.fingerprint != card.encoder.fingerprint
    weighs = replace(wanted.bm25, avg_len=0.0) != replace(card.bm25, avg_len=0.0)
    before = catalog.versions(name).live
    assert before is not None  # it was just opened
    with catalog.draft(name, wanted) as draft:
        bm25 = Bm25(draft.collection.card().bm25)
        replica = Replica(
            opens,
            draft.collection,
            application.encoder().encode_passages if encodes else None,
            bm25.encode_passage if weighs else None,
            progress,
        )
        finished = replica.run(stopped)
        if finished:
            check_searches(draft.collection)
            with opens() as live:  # held, so that nothing comes in after the last look
                replica.level(live)
                _require_equal(live, draft.collection)
                known = {record.source: record for record in live.documents()}
                if not (encodes or weighs):  # what was learnt about searching still holds
                    learnt = live.card()
                    draft.collection.write_card(
                        replace(
                            draft.collection.card(),
                            search=learnt.search,
                            calibrations=learnt.calibrations,
                        )
                    )
                catalog.publish(name, draft.version)
            # A server cannot be held: what came in just before others saw the new version.
            with catalog.open_version(name, before, brief=True, patient=True) as old:
                replica.follow(old, known)
        return _built(name, draft.version, draft.collection, replica, draft.resumed, finished)


def _wanted(
    application: Application, card: IndexCard, texts: Sequence[str], name: str
) -> IndexCard:
    """The card that a collection gets with the present settings."""
    model, settings = application.model(), application.settings
    check_language(settings.language)
    encoder = card.encoder
    chunking, bm25 = card.chunking, card.bm25
    cut = {"strategy": settings.chunking, "overlap_tokens": settings.overlap_tokens}
    if settings.chunk_tokens:
        cut["chunk_tokens"] = settings.chunk_tokens - count_tokens(model)
    if any(chunking[key] != value for key, value in cut.items()):
        card.require(name, model, {**chunking, **cut})  # which only the files can mend
    if model.fingerprint != encoder.fingerprint:
        reads = model.window - count_tokens(model)
        _require_readable(model, texts, reads, name)
        chunking = {**chunking, "chunk_tokens": min(chunking["chunk_tokens"], reads)}
        encoder = EncoderCard.of(model, application.encoder().dimension)
    if settings.language != bm25.language:
        bm25 = Bm25Settings(language=settings.language)
        bm25 = fitted(bm25, texts) if texts else bm25
    return application.catalog.laid_out(IndexCard(encoder, bm25, chunking))


def _require_readable(model: ModelFolder, texts: Sequence[str], reads: int, name: str) -> None:
    """Refuse an encoder that would not read the ends of many chunks, as they are cut already."""
    lengths = [len(encoding.ids) for encoding in load_tokenizer(model.path).encode_batch(texts)]
    longer = sum(length > reads for length in lengths)
    if longer > _FEW * len(lengths):
        raise ConfigurationError(
            f"{longer} of {len(lengths)} chunks of '{name}' are longer than the {reads} tokens "
            f"that encoder {model.name} reads, so their ends would not be found: ingest the files "
            "into a new collection (--collection NAME)"
        )


def migrate(
    application: Application,
    name: str,
    place: str,
    new_name: str,
    progress: Progress,
    stopped: Stopped = lambda: False,
) -> Built:
    """Copy a collection to another place, vectors included; it stays where it is as well.

    Raises
    ------
    ConfigurationError
        If another collection has the name there.
    ServiceError
        If the copy is not equal to what it was made from.
    """
    source, target = application.catalog, application.catalog_at(place)
    check_name(new_name)
    if target.place == source.place and new_name == name:
        raise ConfigurationError(f"'{name}' is in {place}: name another place, or --as NAME")
    if Path(source.place) in Path(target.place).parents:
        raise ConfigurationError(f"{place} is inside of {source.place}: name another place")
    with contextlib.closing(target):

        def opens() -> AbstractContextManager[Collection]:
            return source.open(name, brief=True, patient=True)

        with opens() as live:
            card = live.card()
            if target.exists(new_name):
                return _already_there(live, target, new_name)
        return _copied(opens, target, new_name, card, progress, stopped)


def _already_there(live: Collection, target: Catalog, name: str) -> Built:
    version = target.versions(name).live
    with target.open(name, brief=True) as copy:
        same = copy.card().builds_like(live.card()) and checksum(copy) == checksum(live)
        if not same or difference(live, copy):
            raise ConfigurationError(
                f"there is another collection '{name}' in {target.place}: choose a name with --as"
            )
        return Built(name, version or 0, copy.count("document"), copy.count("chunk"), 0, True)


def backup(application: Application, name: str, file: Path, progress: Progress) -> Built:
    """Write a collection to a file, which is there when it is complete.

    Raises
    ------
    ConfigurationError
        If the file exists.
    ServiceError
        If it cannot be written.
    """
    with application.catalog.open(name) as live:
        try:
            if file.exists():
                raise _exists(file)
            handle, path = tempfile.mkstemp(".part", f".{file.name[:40]}.", file.parent)
            os.close(handle)
        except OSError as error:
            raise ServiceError(f"{file}: {error.strerror}; choose another place") from error
        draft = Path(path)
        try:
            with contextlib.closing(Backup(draft, new=True)) as to:
                replica = Replica(lambda: contextlib.nullcontext(live), to, progress=progress)
                replica.run()
                to.seal(name, live.card())
            _put(draft, file)
        finally:
            draft.unlink(missing_ok=True)
        return Built(name, 0, live.count("document"), replica.copied, 0, resumed=False)


def _put(draft: Path, file: Path) -> None:
    """Give a file its name, unless another one has got it meanwhile."""
    try:
        os.link(draft, file)
    except FileExistsError as error:
        raise _exists(file) from error
    except OSError:  # a disk without links
        draft.replace(file)


def _exists(file: Path) -> ConfigurationError:
    return ConfigurationError(f"{file} exists: choose another name, or remove it")


def restore(
    application: Application,
    file: Path,
    name: str | None,
    progress: Progress,
    stopped: Stopped = lambda: False,
) -> Built:
    """Bring a backup back, as the next version of its collection or of another one.

    Raises
    ------
    ConfigurationError
        If the file is no complete backup.
    ServiceError
        If what was restored is not what was backed up.
    """
    if not os.path.isfile(file):  # noqa: PTH113 - a name that is too long is no file, not an error
        raise ConfigurationError(f"{file} is not a file: name one that `twotower backup` wrote")
    with contextlib.closing(Backup(file)) as saved:
        name = name or saved.collection

        def opens() -> AbstractContextManager[Backup]:
            return contextlib.nullcontext(saved)

        return _copied(opens, application.catalog, name, saved.card(), progress, stopped)


def _copied(
    opens: Opens, target: Catalog, name: str, card: IndexCard, progress: Progress, stopped: Stopped
) -> Built:
    """Copy into the next version of a collection; put it live once it is proven equal."""
    with target.draft(name, card) as draft:
        replica = Replica(opens, draft.collection, progress=progress)
        finished = replica.run(stopped)
        if finished:
            check_searches(draft.collection)
            with opens() as source:
                replica.level(source)
                _require_equal(source, draft.collection)
                if checksum(source) != checksum(draft.collection):
                    raise ServiceError(
                        f"the copy of '{name}' in {target.place} differs from what it was made "
                        "from: it was not put live, run again"
                    )
                draft.collection.write_card(target.laid_out(card))
                target.publish(name, draft.version)
        return _built(name, draft.version, draft.collection, replica, draft.resumed, finished)


def _require_equal(source: Source, copy: Collection) -> None:
    lacking = difference(source, copy)
    if lacking:
        raise ServiceError(
            f"the new version of '{copy.name}' lacks {len(lacking.changed)} documents: it was not "
            "put live, run again"
        )


def _built(
    name: str,
    version: int,
    collection: Collection,
    replica: Replica,
    resumed: bool,
    finished: bool,
) -> Built:
    documents, chunks = collection.count("document"), collection.count("chunk")
    return Built(name, version, documents, chunks, replica.encoded, resumed, finished)
