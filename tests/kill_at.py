"""Run before a command by `tests.zygote`: kills the process at a chosen write to the store.

``TWOTOWER_TEST_KILL_AT=5`` kills it, by SIGKILL, just before the fifth write that it makes,
whatever that is: chunks, payloads, a record, a removal, a version that goes live. What it writes is
listed in the file that ``TWOTOWER_TEST_WRITES`` names.
"""

import os
import signal
from pathlib import Path

from retrieval.catalog.local import LocalCatalog
from retrieval.catalog.server import ServerCatalog
from retrieval.store.edge import EdgeStore
from retrieval.store.server import ServerStore

kill_at = int(os.environ.get("TWOTOWER_TEST_KILL_AT", "0"))
log = os.environ.get("TWOTOWER_TEST_WRITES")
writes: list[str] = []


def counted(method):
    def write(self, *arguments, **named):
        writes.append(method.__name__)
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
