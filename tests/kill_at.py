"""Run before a command by `tests.zygote`: kills the process at a chosen write to the store.

``TWOTOWER_TEST_KILL_AT=5`` kills it, by SIGKILL, just before the fifth write that it makes,
whatever that is: chunks, payloads, a record, a removal, a version that goes live. What it writes is
listed in the file that ``TWOTOWER_TEST_WRITES`` names, an upsert with the kinds of its points.
``TWOTOWER_TEST_WRITE_CHUNKS=16`` makes re-indexing write so many chunks at once instead of 256.
"""

import os
import signal
from pathlib import Path

from twotower.retrieval.index import replicate
from twotower.retrieval.index.catalog.local import LocalCatalog
from twotower.retrieval.index.catalog.server import ServerCatalog
from twotower.retrieval.index.store.edge import EdgeStore
from twotower.retrieval.index.store.server import ServerStore

kill_at = int(os.environ.get("TWOTOWER_TEST_KILL_AT", "0"))
log = os.environ.get("TWOTOWER_TEST_WRITES")
writes: list[str] = []

if batch := int(os.environ.get("TWOTOWER_TEST_WRITE_CHUNKS", "0")):
    assert batch < replicate._WRITE_CHUNKS
    replicate._WRITE_CHUNKS = batch


def counted(method):
    def write(self, *arguments, **named):
        kinds = {p.payload["kind"] for p in arguments[0]} if method.__name__ == "upsert" else ()
        writes.append(":".join([method.__name__, *sorted(kinds)]))
        if log:
            Path(log).write_text("\n".join(writes))
        if len(writes) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *arguments, **named)

    return write


for owner, names in {
    EdgeStore: ("upsert", "overwrite_payloads", "delete"),
    ServerStore: ("upsert", "overwrite_payloads", "delete"),
    LocalCatalog: ("_point", "remove_version"),
    ServerCatalog: ("publish", "remove_version"),
}.items():
    for name in names:
        setattr(owner, name, counted(getattr(owner, name)))
