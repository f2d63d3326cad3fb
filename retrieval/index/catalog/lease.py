"""The lease on a server's collection: the right to work on its versions, for one process at a time.

The lease is a point, which is written only if no other process holds it. The holder's heartbeat
comes every two seconds. A holder without a heartbeat for ten seconds is dead, by the clock of the
process that watches it: clocks of two machines are never compared.
"""

import logging
import os
import socket
import sys
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

from qdrant_client import models

from twotower.retrieval.index.store.connection import Server
from twotower.retrieval.index.store.server import ServerStore
from twotower.retrieval.vocabulary.errors import ConfigurationError, InUse, ServiceError

_LOG = logging.getLogger(__name__)

_LEASE_ID = UUID("00000000-0000-0000-0000-000000000002")
_HEARTBEAT = 2.0  # seconds between two heartbeats
_DEAD_AFTER = 10.0  # seconds without a heartbeat


@dataclass(frozen=True, slots=True)
class _Holder:
    """The holder of a lease: machine, process, a token of its own, and its last heartbeat."""

    host: str
    pid: int
    command: str
    token: str
    beat: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether it was a process of this machine that has ended."""
        if self.host != socket.gethostname() or os.name != "posix":
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


class Lease:
    """A lease that is held as a context manager.

    Parameters
    ----------
    collection
        Collection of the server that the point is written to.
    name
        Name of the collection in messages.

    Raises
    ------
    InUse
        On entering, if another process holds it.
    """

    def __init__(self, server: Server, collection: str, name: str) -> None:
        self._server = server
        self._collection = collection
        self._name = name
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
        self._me = _Holder(socket.gethostname(), os.getpid(), command, uuid4().hex)
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        holder = self._read()
        if holder is not None and holder.token and not holder.has_ended:
            _LOG.warning(
                "waiting to see whether %s on %s is still running", holder.command, holder.host
            )
            self._ended.wait(_DEAD_AFTER)
            if self._read() != holder:
                raise self._in_use(holder)
        self._write(self._me, holder.token if holder else "")
        self.require()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()
        return self

    def require(self) -> None:
        """Make sure that no other process took the lease while this one was delayed.

        Raises
        ------
        InUse
            If another process did.
        """
        now = self._read()
        if now is None or now.token != self._me.token:
            raise self._in_use(now or self._me)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._heart.join()
        self._write(_Holder("", 0, "", ""), self._me.token)

    def _beat(self) -> None:
        beat = 0
        while not self._ended.wait(_HEARTBEAT):
            beat += 1
            try:
                self._write(replace(self._me, beat=beat), self._me.token)
            except (ServiceError, ConfigurationError):  # the work itself meets it, and reports it
                continue

    def _read(self) -> _Holder | None:
        store = ServerStore(self._server, self._collection)
        payload = store.retrieve([_LEASE_ID]).get(_LEASE_ID)
        return None if payload is None else _Holder(**payload["holder"])

    def _write(self, holder: _Holder, expected: str) -> None:
        """Write the point if it does not exist or has the expected token; the server decides."""
        held = models.FieldCondition(key="holder.token", match=models.MatchValue(value=expected))
        payload = {"kind": "lease", "holder": asdict(holder)}
        self._server.call(
            self._server.client.upsert,
            self._collection,
            points=[models.PointStruct(id=_LEASE_ID, vector={}, payload=payload)],
            wait=True,
            update_filter=models.Filter(must=[held]),
        )

    def _in_use(self, holder: _Holder) -> InUse:
        return InUse(
            f"process {holder.pid} on {holder.host} (`{holder.command}`) is working on a version "
            f"of '{self._name}': wait until it ends, or stop it"
        )
