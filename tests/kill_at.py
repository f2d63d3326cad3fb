"""Run before a command by `tests.zygote`: kills the process at a chosen write to the store.

``TWOTOWER_TEST_KILL_AT=5`` kills it, by SIGKILL, just before the fifth write that it makes,
whatever that is: chunks, payloads, a record, a removal. What it writes is listed in the file that
``TWOTOWER_TEST_WRITES`` names.
"""

import os
import signal
from pathlib import Path

from retrieval.store.edge import EdgeStore

kill_at = int(os.environ.get("TWOTOWER_TEST_KILL_AT", "0"))
log = os.environ.get("TWOTOWER_TEST_WRITES")
writes: list[str] = []


def counted(method):
    def write(self, *arguments):
        writes.append(method.__name__)
        if log:
            Path(log).write_text("\n".join(writes))
        if len(writes) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *arguments)

    return write


for name in ("upsert", "overwrite_payloads", "delete"):
    setattr(EdgeStore, name, counted(getattr(EdgeStore, name)))
