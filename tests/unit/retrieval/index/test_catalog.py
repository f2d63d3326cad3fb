"""What every `Catalog` does, and what only one of them can show."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from twotower.retrieval.index.card import EncoderCard, IndexCard, bm25_leg, dense_leg
from twotower.retrieval.index.catalog.local import LocalCatalog
from twotower.retrieval.index.catalog.server import ServerCatalog
from twotower.retrieval.index.store.connection import Server
from twotower.retrieval.index.store.edge import EdgeStore
from twotower.retrieval.index.store.protocol import StoreOptions
from twotower.retrieval.models.bm25 import Bm25Settings
from twotower.retrieval.vocabulary.errors import (
    ConfigurationError,
    IndexMismatch,
    InUse,
    ServiceError,
)

DENSE = dense_leg(EncoderCard("mini", "f" * 64, 4))
CARD = IndexCard((DENSE, bm25_leg(Bm25Settings())), {"chunk_tokens": 256})
OTHER = replace(CARD, legs=(dense_leg(EncoderCard("maxi", "a" * 64, 8)), CARD.legs[1]))


@pytest.fixture(params=["local", "server"])
def catalog(request, tmp_path):
    if request.param == "local":
        yield LocalCatalog(tmp_path, StoreOptions())
        return
    client = QdrantClient(":memory:")
    server = Server(client, "local mode")
    server.check = lambda: None  # local mode has no version
    catalog = ServerCatalog("local mode", lambda: server, StoreOptions())
    yield catalog
    catalog.close()


def created(catalog, name="docs", card=CARD):
    with catalog.create(name, card) as collection:
        return collection.card()


def test_a_new_collection_is_live_and_has_its_card(catalog):
    assert not catalog.exists("docs")
    assert created(catalog) == CARD
    assert catalog.names() == ["docs"]
    assert catalog.versions("docs").live == 1
    with catalog.open("docs") as collection:
        assert collection.is_live()
        assert collection.card() == CARD
    with pytest.raises(ServiceError, match="another process has created"):
        catalog.create("docs", CARD)


def test_an_unknown_collection_is_an_error_that_lists_the_others(catalog):
    created(catalog, "one")
    with pytest.raises(ConfigurationError, match=r"'two' does not exist .*there are: one"):
        catalog.open("two")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "a@1"])
def test_an_impossible_name_is_refused(catalog, name):
    for use in (catalog.exists, catalog.open, lambda name: catalog.create(name, CARD)):
        with pytest.raises(ConfigurationError, match="cannot be the name of a collection"):
            use(name)


def test_a_draft_is_not_live_until_it_is_published(catalog):
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        assert not draft.resumed
        assert catalog.versions("docs").live == 1
        catalog.publish("docs", draft.version)
    versions = catalog.versions("docs")
    assert (versions.live, versions.previous, versions.others) == (2, 1, ())
    with catalog.open("docs") as collection:
        assert collection.card() == OTHER


def test_an_unfinished_draft_with_the_same_card_is_resumed(catalog):
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        first = draft.version
    with catalog.draft(
        "docs", replace(OTHER, legs=(OTHER.legs[0], bm25_leg(Bm25Settings(avg_len=7.0))))
    ) as draft:
        assert (draft.version, draft.resumed) == (first, True)
    with catalog.draft("docs", replace(OTHER, quantization="int8", chunking={})) as draft:
        assert not draft.resumed
    assert catalog.versions("docs").live == 1


def test_a_version_that_was_live_is_not_resumed_as_a_draft(catalog):
    created(catalog)
    for card in (OTHER, CARD):
        with catalog.draft("docs", card) as draft:
            catalog.publish("docs", draft.version)
    assert catalog.versions("docs").others == (1,)
    with catalog.draft("docs", CARD) as draft:  # as version 1 was
        assert (draft.version, draft.resumed) == (4, False)


def test_a_draft_may_be_the_first_version(catalog):
    with catalog.draft("new", CARD) as draft:
        assert not catalog.exists("new")
        catalog.publish("new", draft.version)
    assert catalog.exists("new")
    with pytest.raises(ConfigurationError, match="no previous version"):
        catalog.rollback("new")


def test_rollback_switches_between_two_versions_until_the_old_one_is_removed(catalog):
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        catalog.publish("docs", draft.version)
    assert catalog.rollback("docs").live == 1
    assert catalog.rollback("docs").live == 2
    with catalog.draft("docs", replace(CARD, chunking={})):
        pass  # left unfinished
    assert catalog.remove_old_versions("docs") == 2
    assert catalog.versions("docs").others == ()
    with pytest.raises(ConfigurationError, match="no previous version"):
        catalog.rollback("docs")
    with catalog.open("docs") as collection:
        assert collection.card() == OTHER


def test_an_open_collection_notices_that_another_version_was_published(catalog):
    created(catalog)
    if isinstance(catalog, LocalCatalog):
        pytest.skip(
            "an embedded version is open in one process: no other one publishes at that time"
        )
    with catalog.open("docs") as collection:
        with catalog.draft("docs", OTHER) as draft:
            catalog.publish("docs", draft.version)
        assert not collection.is_live()


def test_only_one_process_works_on_versions_at_a_time(catalog, monkeypatch):
    monkeypatch.setattr("twotower.retrieval.index.catalog.lease._DEAD_AFTER", 3.0)
    created(catalog)
    with catalog.draft("docs", OTHER), pytest.raises(InUse, match="wait until it ends"):  # noqa: SIM117
        with catalog.draft("docs", OTHER):
            pass
    with catalog.draft("docs", OTHER) as draft:  # the first one has released it
        assert draft.resumed


def test_the_lease_of_a_dead_process_is_taken_over(catalog, monkeypatch):
    if isinstance(catalog, LocalCatalog):
        pytest.skip("the system releases the file lock of a process that dies")
    monkeypatch.setattr("twotower.retrieval.index.catalog.lease._DEAD_AFTER", 0.3)
    created(catalog)
    with catalog.draft("docs", OTHER):
        lease = catalog._new_lease("docs", 1)  # the live version's
        held = lease._read()
        dead = replace(held, host="elsewhere", token="dead")
        lease._write(dead, held.token)
        with catalog.draft("docs", OTHER) as taken:
            assert taken.resumed
        monkeypatch.setattr("twotower.retrieval.index.catalog.lease._DEAD_AFTER", 60.0)
        gone = replace(held, pid=2**22 + 1, token="gone")  # no such process on this machine
        lease._write(gone, "")
        with catalog.draft("docs", OTHER) as taken:
            assert taken.resumed


def test_a_collection_that_something_else_created_is_not_touched(catalog, tmp_path):
    if isinstance(catalog, LocalCatalog):
        folder = tmp_path / "collections" / "docs"
        EdgeStore(folder, CARD.specs).close()  # the layout before there were versions
        with pytest.raises(ServiceError, match="older twotower"):
            catalog.create("docs", CARD)
        assert folder.exists()
        return
    client, params = (
        catalog.server.client,
        models.VectorParams(size=4, distance=models.Distance.DOT),
    )
    client.create_collection("docs", vectors_config=params)
    for use in (catalog.exists, lambda name: catalog.create(name, CARD)):
        with pytest.raises(ConfigurationError, match="something else created"):
            use("docs")
    client.create_collection("papers", vectors_config=params)
    alias = models.CreateAlias(alias_name="mine", collection_name="papers")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    with pytest.raises(ConfigurationError, match="something else created"):
        catalog.create("mine", CARD)
    assert catalog.names() == []


def test_nothing_is_written_to_a_version_without_a_card(catalog):
    if isinstance(catalog, LocalCatalog):
        pytest.skip("a folder has a mark")
    params = models.VectorParams(size=4, distance=models.Distance.DOT)
    catalog.server.client.create_collection("docs@7", vectors_config=params)
    alias = models.CreateAlias(alias_name="docs", collection_name="docs@7")
    catalog.server.client.update_collection_aliases(
        [models.CreateAliasOperation(create_alias=alias)]
    )
    with catalog.open("docs") as collection, pytest.raises(IndexMismatch, match="has no card"):
        collection.card()
    with pytest.raises(IndexMismatch, match="has no card"):
        catalog.remove_old_versions("docs")
    with pytest.raises(IndexMismatch, match="has no card"), catalog.draft("docs", CARD):
        pass
    assert catalog.server.client.count("docs@7").count == 0


def test_a_process_that_lost_the_lease_publishes_nothing(catalog):
    if isinstance(catalog, LocalCatalog):
        pytest.skip("a file lock is not lost")
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        lease = catalog._new_lease("docs", 1)
        held = lease._read()
        lease._write(replace(held, host="elsewhere", token="taken over"), held.token)
        with pytest.raises(InUse, match="elsewhere"):
            catalog.publish("docs", draft.version)
    assert catalog.versions("docs").live == 1


def test_an_interrupted_creation_is_replaced(catalog, tmp_path):
    if isinstance(catalog, LocalCatalog):
        catalog._create_version("docs", 1, OTHER, short_lived=False).close()
    assert not catalog.exists("docs")
    assert created(catalog) == CARD


POINTERS = [
    "", "{", "[]", "null", '"x"', "5", "{}", '{"live": null}', '{"live": "1"}', '{"live": [1]}',
    '{"live": true}', '{"live": 1, "previous": [1]}', '{"live": 1, "previous": "x"}',
]  # fmt: skip


@pytest.mark.parametrize("content", POINTERS)
def test_a_damaged_pointer_is_one_clear_error_and_nothing_is_replaced(tmp_path, content):
    catalog = LocalCatalog(tmp_path, StoreOptions())
    created(catalog)
    (tmp_path / "collections" / "docs" / "versions.json").write_text(content)
    for use in (catalog.open, catalog.rollback, lambda name: catalog.create(name, CARD)):
        with pytest.raises(ServiceError, match="restore the folder from a backup"):
            use("docs")
    assert (tmp_path / "collections" / "docs" / "1").is_dir()


def test_folders_without_the_mark_are_not_touched(tmp_path):
    catalog = LocalCatalog(tmp_path, StoreOptions())
    folder = tmp_path / "collections" / "docs"
    for name in ("2024", "007", "1abc"):
        (folder / name).mkdir(parents=True)
        (folder / name / "thesis.txt").write_text("precious")
    (folder / "5").write_text("a file")
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        catalog.publish("docs", draft.version)
    assert catalog.remove_old_versions("docs") == 1
    for name in ("2024", "007", "1abc"):
        assert (folder / name / "thesis.txt").read_text() == "precious"
    (folder / "3").mkdir()
    (folder / "3" / "notes.txt").write_text("precious")
    with pytest.raises(ServiceError, match="not created by twotower"), catalog.draft("docs", CARD):
        pass
    (folder / "3" / "notes.txt").unlink()
    with catalog.draft(
        "docs", CARD
    ) as draft:  # empty: the process was killed before it made the mark
        assert (draft.version, draft.resumed) == (3, False)


def test_a_removal_killed_anywhere_leaves_a_marked_folder(tmp_path, monkeypatch):
    class KilledError(BaseException):
        """Stands for a signal."""

    def until(step: int, real):
        def removed(*args, **options):
            if next(steps) >= step:
                raise KilledError
            return real(*args, **options)

        return removed

    catalog = LocalCatalog(tmp_path, StoreOptions())
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        pass
    killed = 0
    for step in range(20):
        steps = itertools.count()
        with monkeypatch.context() as patch:
            patch.setattr(
                "twotower.retrieval.index.catalog.local.shutil.rmtree", until(step, shutil.rmtree)
            )
            for name in ("unlink", "rmdir"):
                patch.setattr(Path, name, until(step, getattr(Path, name)))
            try:
                catalog.remove_version("docs", draft.version)
            except KilledError:
                killed += 1
        with catalog.draft("docs", replace(CARD, chunking={"step": step})) as draft:
            assert not draft.resumed
        assert catalog.versions("docs").others == (draft.version,)
    assert 4 < killed < 20


def test_no_version_is_removed_while_the_live_one_is_damaged_or_an_old_one_is_open(tmp_path):
    catalog = LocalCatalog(tmp_path, StoreOptions())
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        catalog.publish("docs", draft.version)
    first, live = (tmp_path / "collections" / "docs" / name for name in ("1", "2"))
    with catalog.open_version("docs", 1), pytest.raises(InUse):
        catalog.remove_old_versions("docs")
    (live / "edge_config.json").write_text("damaged")
    with pytest.raises(ServiceError, match="cannot be opened"):
        catalog.remove_old_versions("docs")
    assert first.is_dir()
    with pytest.raises(ConfigurationError, match="does not exist"):
        catalog.rollback("nope")
    assert not (tmp_path / "collections" / ".nope~versions.lock").exists()


def test_a_servers_collections_without_a_card_are_never_removed(catalog):
    if isinstance(catalog, LocalCatalog):
        pytest.skip("folders have a mark")
    created(catalog)
    params = models.VectorParams(size=3, distance=models.Distance.DOT)
    catalog.server.client.create_collection("docs@77", vectors_config=params)
    catalog.remove_old_versions("docs")
    assert catalog.server.client.collection_exists("docs@77")


def test_old_versions_are_not_removed_while_a_draft_is_being_built(catalog, monkeypatch):
    monkeypatch.setattr("twotower.retrieval.index.catalog.lease._DEAD_AFTER", 3.0)
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        with pytest.raises(InUse):
            catalog.remove_old_versions("docs")
        with pytest.raises(InUse), catalog.draft("docs", replace(CARD, chunking={})):
            pass
        assert draft.collection.has_card()


def test_a_short_lived_owner_is_waited_for(tmp_path, monkeypatch, caplog):
    catalog = LocalCatalog(tmp_path, StoreOptions())
    created(catalog)
    short_lived = catalog.open("docs", short_lived=True)

    def passed(_seconds: float) -> None:
        short_lived.close()

    monkeypatch.setattr("twotower.retrieval.index.catalog.local.time.sleep", passed)
    catalog.open("docs").close()
    with catalog.open("docs"), pytest.raises(InUse, match="open in process"):
        catalog.open("docs")
    assert caplog.text == ""
