"""What every `Catalog` does, and what only the local one can show."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from retrieval.catalog.local import LocalCatalog
from retrieval.catalog.server import ServerCatalog
from retrieval.errors import ConfigurationError, IndexMismatch, InUse, ServiceError
from retrieval.lexical import Bm25Settings
from retrieval.store.card import EncoderCard, IndexCard
from retrieval.store.edge import EdgeStore
from retrieval.store.protocol import StoreOptions
from retrieval.store.server import Server
from tests.conftest import silent

CARD = IndexCard(EncoderCard("mini", "f" * 64, 4), Bm25Settings(), {"chunk_tokens": 256})
OTHER = replace(CARD, encoder=EncoderCard("maxi", "a" * 64, 8))


@pytest.fixture(params=["local", "server"])
def catalog(request, tmp_path):
    if request.param == "local":
        yield LocalCatalog(tmp_path, StoreOptions(), silent)
        return
    client = QdrantClient(":memory:")
    server = Server(client, "local mode", silent)
    server.check = lambda: None  # local mode has no version
    catalog = ServerCatalog("local mode", lambda: server, StoreOptions(), silent)
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
    with pytest.raises(ServiceError, match="exists by now"):
        catalog.create("docs", CARD)


def test_unknown_collections_are_named_with_those_that_are_there(catalog):
    created(catalog, "one")
    with pytest.raises(ConfigurationError, match=r"'two' does not exist .*there are: one"):
        catalog.open("two")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "a@1"])
def test_a_name_that_is_none_is_refused(catalog, name):
    for use in (catalog.exists, catalog.open, lambda name: catalog.create(name, CARD)):
        with pytest.raises(ConfigurationError, match="no collection name"):
            use(name)


def test_a_draft_is_not_seen_until_it_is_published(catalog):
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        assert not draft.resumed
        assert catalog.versions("docs").live == 1
        catalog.publish("docs", draft.version)
    versions = catalog.versions("docs")
    assert (versions.live, versions.previous, versions.others) == (2, 1, ())
    with catalog.open("docs") as collection:
        assert collection.card() == OTHER


def test_an_unfinished_draft_is_gone_on_with_if_it_would_become_the_same(catalog):
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        first = draft.version
    with catalog.draft("docs", replace(OTHER, bm25=Bm25Settings(avg_len=7.0))) as draft:
        assert (draft.version, draft.resumed) == (first, True)
    with catalog.draft("docs", replace(OTHER, quantization="int8", chunking={})) as draft:
        assert not draft.resumed
    assert catalog.versions("docs").live == 1


def test_what_was_live_once_is_no_draft_to_go_on_with(catalog):
    created(catalog)
    for card in (OTHER, CARD):
        with catalog.draft("docs", card) as draft:
            catalog.publish("docs", draft.version)
    assert catalog.versions("docs").others == (1,)
    with catalog.draft("docs", CARD) as draft:  # as version 1 was
        assert (draft.version, draft.resumed) == (4, False)


def test_a_draft_may_come_before_any_version(catalog):
    with catalog.draft("new", CARD) as draft:
        assert not catalog.exists("new")
        catalog.publish("new", draft.version)
    assert catalog.exists("new")
    with pytest.raises(ConfigurationError, match="no previous version"):
        catalog.rollback("new")


def test_rollback_goes_back_and_forth_and_clearing_ends_it(catalog):
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


def test_a_collection_that_was_opened_before_knows_that_it_is_not_live_any_more(catalog):
    created(catalog)
    if isinstance(catalog, LocalCatalog):
        pytest.skip("an embedded version is held by whoever writes to it: none goes live meanwhile")
    with catalog.open("docs") as collection:
        with catalog.draft("docs", OTHER) as draft:
            catalog.publish("docs", draft.version)
        assert not collection.is_live()


def test_two_cannot_work_on_versions_at_once(catalog, monkeypatch):
    monkeypatch.setattr("retrieval.catalog.server._SILENCE", 3.0)
    created(catalog)
    with catalog.draft("docs", OTHER), pytest.raises(InUse, match="wait until it ends"):  # noqa: SIM117
        with catalog.draft("docs", OTHER):
            pass
    with catalog.draft("docs", OTHER) as draft:  # the first one has let go
        assert draft.resumed


def test_what_a_dead_process_held_is_taken_over(catalog, monkeypatch):
    if isinstance(catalog, LocalCatalog):
        pytest.skip("the system takes a file's lock from a process that dies")
    monkeypatch.setattr("retrieval.catalog.server._SILENCE", 0.3)
    created(catalog)
    with catalog.draft("docs", OTHER):
        lease = catalog._lease("docs", 1)  # the live version's
        held = lease._read()
        dead = replace(held, host="elsewhere", token="dead")
        lease._write(dead, held.token)
        with catalog.draft("docs", OTHER) as taken:
            assert taken.resumed
        monkeypatch.setattr("retrieval.catalog.server._SILENCE", 60.0)
        gone = replace(held, pid=2**22 + 1, token="gone")  # no such process on this machine
        lease._write(gone, "")
        with catalog.draft("docs", OTHER) as taken:
            assert taken.resumed


def test_what_something_else_made_is_left_alone(catalog, tmp_path):
    if isinstance(catalog, LocalCatalog):
        folder = tmp_path / "collections" / "docs"
        EdgeStore(folder, 4).close()  # as twotower laid it out before there were versions
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
        with pytest.raises(ConfigurationError, match="something else made"):
            use("docs")
    client.create_collection("papers", vectors_config=params)
    alias = models.CreateAlias(alias_name="mine", collection_name="papers")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    with pytest.raises(ConfigurationError, match="something else made"):
        catalog.create("mine", CARD)
    assert catalog.names() == []


def test_a_version_without_a_card_is_not_taken_for_ours(catalog):
    if isinstance(catalog, LocalCatalog):
        pytest.skip("a folder is ours")
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


def test_who_was_held_up_and_lost_the_lease_puts_nothing_live(catalog):
    if isinstance(catalog, LocalCatalog):
        pytest.skip("a file's lock is not lost")
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        lease = catalog._lease("docs", 1)
        held = lease._read()
        lease._write(replace(held, host="elsewhere", token="taken over"), held.token)
        with pytest.raises(InUse, match="elsewhere"):
            catalog.publish("docs", draft.version)
    assert catalog.versions("docs").live == 1


def test_what_an_interrupted_creation_left_is_replaced(catalog, tmp_path):
    if isinstance(catalog, LocalCatalog):
        catalog._created("docs", 1, OTHER, brief=False).close()
    assert not catalog.exists("docs")
    assert created(catalog) == CARD


POINTERS = [
    "", "{", "[]", "null", '"x"', "5", "{}", '{"live": null}', '{"live": "1"}', '{"live": [1]}',
    '{"live": true}', '{"live": 1, "previous": [1]}', '{"live": 1, "previous": "x"}',
]  # fmt: skip


@pytest.mark.parametrize("content", POINTERS)
def test_a_damaged_pointer_is_one_clear_error_and_nothing_is_replaced(tmp_path, content):
    catalog = LocalCatalog(tmp_path, StoreOptions(), silent)
    created(catalog)
    (tmp_path / "collections" / "docs" / "versions.json").write_text(content)
    for use in (catalog.open, catalog.rollback, lambda name: catalog.create(name, CARD)):
        with pytest.raises(ServiceError, match="restore it from a backup"):
            use("docs")
    assert (tmp_path / "collections" / "docs" / "1").is_dir()


def test_folders_that_are_not_ours_are_left_alone(tmp_path):
    catalog = LocalCatalog(tmp_path, StoreOptions(), silent)
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
    with pytest.raises(ServiceError, match="not of twotower"), catalog.draft("docs", CARD):
        pass
    (folder / "3" / "notes.txt").unlink()
    with catalog.draft("docs", CARD) as draft:  # empty: killed before its mark was made
        assert (draft.version, draft.resumed) == (3, False)


def test_a_removal_killed_anywhere_leaves_a_folder_that_is_still_ours(tmp_path, monkeypatch):
    class KilledError(BaseException):
        """In place of a signal."""

    def until(step: int, real):
        def removed(*args, **options):
            if next(steps) >= step:
                raise KilledError
            return real(*args, **options)

        return removed

    catalog = LocalCatalog(tmp_path, StoreOptions(), silent)
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        pass
    killed = 0
    for step in range(20):
        steps = itertools.count()
        with monkeypatch.context() as patch:
            patch.setattr("retrieval.catalog.local.shutil.rmtree", until(step, shutil.rmtree))
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


def test_nothing_is_cleared_away_while_the_live_version_is_damaged_or_an_old_one_is_open(tmp_path):
    catalog = LocalCatalog(tmp_path, StoreOptions(), silent)
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
        pytest.skip("folders are told apart by a file in them")
    created(catalog)
    params = models.VectorParams(size=3, distance=models.Distance.DOT)
    catalog.server.client.create_collection("docs@77", vectors_config=params)
    catalog.remove_old_versions("docs")
    assert catalog.server.client.collection_exists("docs@77")


def test_clearing_away_waits_for_who_works_on_a_draft(catalog, monkeypatch):
    monkeypatch.setattr("retrieval.catalog.server._SILENCE", 3.0)
    created(catalog)
    with catalog.draft("docs", OTHER) as draft:
        with pytest.raises(InUse):
            catalog.remove_old_versions("docs")
        with pytest.raises(InUse), catalog.draft("docs", replace(CARD, chunking={})):
            pass
        assert draft.collection.has_card()


def test_one_who_lets_go_in_a_moment_is_waited_for(tmp_path, monkeypatch):
    told = []
    catalog = LocalCatalog(tmp_path, StoreOptions(), told.append)
    created(catalog)
    brief = catalog.open("docs", brief=True)

    def passed(_seconds: float) -> None:
        brief.close()

    monkeypatch.setattr("retrieval.catalog.local.time.sleep", passed)
    catalog.open("docs").close()
    with catalog.open("docs"), pytest.raises(InUse, match="open in process"):
        catalog.open("docs")
    assert told == []
