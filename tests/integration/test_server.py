"""A Qdrant server in place of the data directory: the same commands, and what a network does.

No server runs here: `tests.qdrant_stand_in` is one, over qdrant-client's local mode.
"""

import dataclasses
import json
import random
from http.server import BaseHTTPRequestHandler

import pytest
from qdrant_client import models

from tests.conftest import HANDBOOK, CommandLine
from tests.qdrant_stand_in import FaultProxy, Served, StandIn, send
from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.retrieval.index.card import EncoderCard, IndexCard, bm25_leg, dense_leg
from twotower.retrieval.models.bm25 import Bm25Settings

FAULTS = ["drop", "lost", "delay", "429", "500", "truncate"]


@pytest.fixture
def server():
    server = StandIn()
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "folder")


def write_folder(folder):
    folder.mkdir()
    for n in range(12):
        parts = "\n\n".join(
            f"## Part {n}-{part}\n\nMarker {n}-{part}. " + "The pump is serviced in autumn. " * 9
            for part in "abc"
        )
        (folder / f"{n:02}.md").write_text(f"# Document {n}\n\n{parts}\n")
    return folder


def content(url: str) -> dict:
    """All that a server's collection holds, but for the times of ingestion."""
    application = Application(load_settings({}, qdrant_url=url))
    with application.catalog.open("documents") as collection:
        records = {
            record.source: dataclasses.replace(record, ingested_at="")
            for record in collection.documents()
        }
        chunks = [chunk for source in records for chunk in collection.chunks_of(source)]
        assert collection.count("chunk") == len({chunk.id for chunk in chunks}) == len(chunks)
        vectors = collection.vectors("dense", [chunk.id for chunk in chunks])
        assert vectors.keys() == {chunk.id for chunk in chunks}
    application.catalog.close()
    return {"records": records, "chunks": chunks}


@pytest.fixture(scope="module")
def clean(zygote, model_cache, tmp_path_factory):
    """A folder, and what a server has after its ingestion over a network without faults."""
    base = tmp_path_factory.mktemp("clean")
    folder, server = write_folder(base / "folder"), StandIn()
    line = CommandLine(zygote, model_cache, base / "data", base)
    assert line("ingest", folder, TWOTOWER_QDRANT_URL=server.url).code == 0
    yield folder, content(server.url)
    server.close()


def test_one_setting_moves_every_command_to_the_server(twotower, handbook, server):
    there = {"TWOTOWER_QDRANT_URL": server.url}
    report = twotower("ingest", HANDBOOK, "--json", **there).json
    assert (report["added"], report["failed"]) == (45, [])
    waited = {kind: wait for kinds, wait in server.writes for kind in kinds}
    assert waited == {"card": True, "chunk": False, "document": True}
    again = twotower("ingest", HANDBOOK, "--json", **there).json
    assert (again["unchanged"], again["chunks_embedded"]) == (45, 0)
    status = twotower("status", "--json", **there).json
    assert status["place"] == server.url
    assert status["collections"][0]["chunks"] == report["chunks_total"]
    for arguments in (
        ["search", "GK-118/d how tight", "--json"],
        [
            "search",
            "who do I tell",
            "--filter",
            "folder=it",
            "--rerank",
            "late-interaction",
            "--json",
        ],
        ["facets", "type", "--json"],
        ["show", "it/accounts-and-passwords.html", "--json"],
    ):
        one, other = handbook(*arguments), twotower(*arguments, **there)
        assert other.code == 0, other.err
        assert _plain(other.json) == _plain(one.json)
    assert twotower("delete", "it/backup-runbook.md", "--json", **there).json["chunks"] > 0
    assert len(twotower("list", "--json", **there).json) == 44
    assert not (twotower.data_dir / "collections").exists()
    assert twotower.refused_connections == ""


def _plain(value):
    """Without times, and with scores as they are told to people."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k not in ("took_ms", "modified")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


def test_migrate_there_and_back_changes_nothing(twotower, handbook, server):
    data = {"TWOTOWER_DATA_DIR": str(handbook.data_dir)}
    moved = twotower("migrate", "--to", server.url, "--json", **data)
    assert moved.code == 0, moved.err
    assert (moved.json["encoded"], moved.json["documents"]) == (0, 45)
    again = twotower("migrate", "--to", server.url, **data)
    assert "equal by checksum" in again.out
    there = {"TWOTOWER_QDRANT_URL": server.url}
    back = twotower("migrate", "--to", twotower.data_dir, "--as", "back", **there)
    assert back.code == 0, back.err
    arguments = ["search", "GK-118/d how tight", "--json"]
    assert _plain(twotower(*arguments, "--collection", "back").json) == _plain(
        handbook(*arguments).json
    )
    twotower("delete", "it/backup-runbook.md", **there)
    refused = twotower("migrate", "--to", server.url, **data)
    assert (refused.code, "choose another name" in refused.err) == (2, True)


@pytest.mark.parametrize("kind", FAULTS)
def test_an_ingestion_converges_whatever_the_network_does(twotower, server, clean, kind):
    folder, expected = clean
    chance = random.Random(kind)
    share = 0.15 if kind == "429" else 0.3  # each 429 asks for a second of rest
    proxy = FaultProxy(server.url, lambda _n, _path: kind if chance.random() < share else None)
    done = twotower("ingest", folder, "--json", TWOTOWER_QDRANT_URL=proxy.url)
    proxy.close()
    assert done.code == 0, done.err
    assert len(proxy.faults) >= 5
    assert done.json["added"] == 12
    assert len(expected["records"]) == 12
    assert content(server.url) == expected


def test_a_connection_that_never_answers_is_given_up_after_the_timeout(twotower, server, folder):
    proxy = FaultProxy(server.url, lambda n, _path: "half-open" if n in (3, 9) else None)
    done = twotower(
        "ingest", folder, "--json", TWOTOWER_QDRANT_URL=proxy.url, TWOTOWER_QDRANT_TIMEOUT="1"
    )
    proxy.close()
    assert done.code == 0, done.err
    assert proxy.faults == ["half-open"] * 2
    assert len(content(server.url)["records"]) == 12


@pytest.mark.parametrize("after", [4, 16, 22])
def test_a_connection_that_is_lost_ends_the_run_and_the_next_one_converges(
    twotower, server, folder, after
):
    proxy = FaultProxy(server.url, lambda n, _path: "drop" if n > after else None)
    done = twotower("ingest", folder, TWOTOWER_QDRANT_URL=proxy.url)
    proxy.close()
    assert done.code == 3
    assert done.err.strip().splitlines()[-1].startswith(f"error: {proxy.url} cannot be reached")
    assert "finished documents are kept" in done.err
    assert proxy.requests <= after + 6 * 2  # the call that failed, and one that tells it
    assert twotower("ingest", folder, "--json", TWOTOWER_QDRANT_URL=server.url).code == 0
    assert len(content(server.url)["records"]) == 12


def test_a_long_rest_that_the_server_asks_for_is_not_taken(twotower, server):
    class Busy(Served):
        def __init__(self) -> None:
            super().__init__(
                lambda handler, _body: send(
                    handler, 429, {"status": {"error": "quota"}}, Retry_After="3600"
                )
            )

    busy = Busy()
    done = twotower("status", TWOTOWER_QDRANT_URL=busy.url)
    busy.close()
    assert (done.code, "asks for a pause of 3600 s" in done.err) == (3, True)


def not_qdrant(handler: BaseHTTPRequestHandler, _body: bytes) -> None:
    send(handler, 200, {"hello": "world"})


def test_wrong_servers_are_told_in_one_line(twotower, folder):
    stands = {
        "old": StandIn(version="1.12.4"),
        "locked": StandIn(api_key="secret"),
        "other": Served(not_qdrant),
    }
    cases = [
        ("http://127.0.0.1:1", 3, "cannot be reached"),
        ("127.0.0.1:6333", 2, "write it as http://HOST:6333"),
        (stands["old"].url, 3, "runs Qdrant 1.12.4; 1.19 or newer is needed"),
        (stands["locked"].url, 2, "set TWOTOWER_QDRANT_API_KEY"),
        (stands["other"].url, 3, "check TWOTOWER_QDRANT_URL"),
    ]
    for url, code, message in cases:
        for command in (["status"], ["ingest", folder], ["search", "x"]):
            done = twotower(*command, TWOTOWER_QDRANT_URL=url)
            assert (done.code, message in done.err) == (code, True), done
            assert len([line for line in done.err.splitlines() if "error:" in line]) == 1
            assert "secret" not in done.err
    right = twotower(
        "status", TWOTOWER_QDRANT_URL=stands["locked"].url, TWOTOWER_QDRANT_API_KEY="secret"
    )
    assert right.code == 0, right.err
    for stand in stands.values():
        stand.close()


def test_a_full_server_disk_is_told_at_once_and_nothing_is_lost(twotower, server, folder):
    there = {"TWOTOWER_QDRANT_URL": server.url}
    assert twotower("ingest", folder, **there).code == 0
    before = content(server.url)
    (folder / "new.md").write_text("# New\n\nA document that finds no room.\n")
    server.full = True
    done = twotower("ingest", folder, **there)
    assert (done.code, "is full" in done.err) == (3, True)
    server.full = False
    assert content(server.url) == before
    assert twotower("ingest", folder, "--json", **there).json["added"] == 1


def test_a_collection_that_something_else_made_is_never_written_to(twotower, server, folder):
    server.client.create_collection(
        "documents", vectors_config=models.VectorParams(size=3, distance=models.Distance.DOT)
    )
    there = {"TWOTOWER_QDRANT_URL": server.url}
    backup = twotower.data_dir.parent / "some.backup"
    for command in (["ingest", folder], ["search", "x"], ["restore", backup]):
        if command[0] == "restore":
            assert twotower("ingest", folder).code == 0
            assert twotower("backup", backup).code == 0
        done = twotower(*command, **there)
        assert (done.code, "something else created" in done.err) == (2, True), done
    assert [c.name for c in server.client.get_collections().collections] == ["documents"]
    assert server.client.count("documents").count == 0


def test_a_card_from_a_newer_twotower_is_refused(twotower, server, folder):
    there = {"TWOTOWER_QDRANT_URL": server.url}
    assert twotower("ingest", folder, **there).code == 0
    card = "00000000-0000-0000-0000-000000000001"
    server.client.set_payload("documents@1", {"schema": 99}, points=[card])
    before = json.dumps(server.client.retrieve("documents@1", [card])[0].payload)
    for command in (["ingest", folder], ["search", "x"], ["reindex", "--force"]):
        done = twotower(*command, **there)
        assert (done.code, "upgrade twotower" in done.err) == (2, True), done
    assert json.dumps(server.client.retrieve("documents@1", [card])[0].payload) == before


def test_layout_settings_reach_the_server(server):
    asked = {}
    create = server._create

    def noted(name, request):
        asked.update(request.model_dump(exclude_none=True, mode="json"))
        return create(name, request)

    server._create = noted
    application = Application(
        load_settings(
            {},
            qdrant_url=server.url,
            shards=4,
            replicas=2,
            write_consistency=2,
            quantization="int8",
            on_disk=True,
        )
    )
    card = IndexCard((dense_leg(EncoderCard("mini", "f" * 64, 4)), bm25_leg(Bm25Settings())), {})
    with application.catalog.create("docs", card) as collection:
        assert (collection.card().quantization, collection.card().on_disk) == ("int8", True)
    assert (asked["shard_number"], asked["replication_factor"]) == (4, 2)
    assert asked["write_consistency_factor"] == 2
    dense = asked["vectors"]["dense"]
    assert dense["on_disk"] is True
    assert dense["quantization_config"]["scalar"]["type"] == "int8"
    # every payload index is there before the first point is
    assert server.calls.count("index") == 8
    assert server.calls.index("upsert") > max(
        n for n, call in enumerate(server.calls) if call == "index"
    )
    application.catalog.close()
