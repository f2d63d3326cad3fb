"""Collections that threads share: opened once, closed when nobody uses them."""

import subprocess
import sys
import threading
import time

import pytest

from twotower.retrieval.index.card import EncoderCard, IndexCard, bm25_leg, dense_leg
from twotower.retrieval.index.catalog.local import LocalCatalog
from twotower.retrieval.index.catalog.shared import SharedCatalog
from twotower.retrieval.index.store.protocol import StoreOptions
from twotower.retrieval.models.bm25 import Bm25Settings

CARD = IndexCard(
    (dense_leg(EncoderCard("words", "0" * 64, 8, "", "")), bm25_leg(Bm25Settings())),
    {"strategy": "structure", "chunk_tokens": 254, "overlap_tokens": 32},
)
OPENS = (
    "import sys\nfrom pathlib import Path\n"
    "from twotower.retrieval.index.catalog.local import LocalCatalog\n"
    "from twotower.retrieval.index.store.protocol import StoreOptions\n"
    "catalog = LocalCatalog(Path(sys.argv[1]), StoreOptions())\n"
    "catalog.open('documents', short_lived=True).close()\n"
)


@pytest.fixture
def shared(tmp_path):
    catalog = SharedCatalog(LocalCatalog(tmp_path, StoreOptions()), idle=0.3)
    catalog.create("documents", CARD).close()
    yield catalog
    catalog.close()


def test_threads_get_one_and_the_same_collection(shared):
    with shared.open("documents") as first, shared.open("documents") as second:
        assert first is second
        assert first.count("chunk") == 0
    with shared.open("documents") as again:
        assert again is first


def test_an_idle_collection_is_closed(shared, tmp_path):
    with shared.open("documents") as first:
        pass
    time.sleep(0.6)
    plain = LocalCatalog(tmp_path, StoreOptions())
    plain.open("documents").close()
    with shared.open("documents") as second:
        assert second is not first
        assert second.card() == CARD


def test_another_process_waits_for_it_and_opens_it(shared, tmp_path):
    with shared.open("documents"):
        other = subprocess.Popen([sys.executable, "-c", OPENS, str(tmp_path)])
        time.sleep(1)
        assert other.poll() is None
    assert other.wait(timeout=300) == 0


def test_many_threads_at_once_open_it_once_and_close_it_once(shared):
    seen, errors = set(), []

    def use():
        try:
            for _ in range(40):
                with shared.open("documents") as collection:
                    seen.add(id(collection))
                    collection.count("document")
                time.sleep(0.001)
        except Exception as error:  # noqa: BLE001 - seen below
            errors.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(seen) == 1


def test_the_next_user_gets_a_new_version(shared):
    with shared.open("documents") as old:
        with shared.draft("documents", CARD) as draft:
            shared.publish("documents", draft.version)
        assert not old.is_live()
        with shared.open("documents") as new:
            assert new is not old
            assert new.is_live()
    assert shared.rollback("documents").live == 1
    assert shared.remove_old_versions("documents") == 1
