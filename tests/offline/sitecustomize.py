"""Put first on PYTHONPATH by the tests: every Python process below refuses to leave loopback.

What it refuses is appended to the file that TWOTOWER_TEST_NETWORK_LOG names, because a library may
swallow the error.
"""

import os
import socket
from pathlib import Path

_LOOPBACK = ("127.", "::1", "localhost")
_connect = socket.socket.connect
_getaddrinfo = socket.getaddrinfo


def _refuse(target: object) -> None:
    with Path(os.environ["TWOTOWER_TEST_NETWORK_LOG"]).open("a", encoding="utf-8") as log:
        log.write(f"{target}\n")
    raise OSError(f"the tests block network access: {target}")


def connect(self, address):
    outward = self.family in (socket.AF_INET, socket.AF_INET6)
    if outward and not str(address[0]).startswith(_LOOPBACK):
        _refuse(address)
    return _connect(self, address)


def getaddrinfo(host, *arguments, **options):
    if host is not None and not str(host).startswith(_LOOPBACK):
        _refuse(host)
    return _getaddrinfo(host, *arguments, **options)


if "TWOTOWER_TEST_NETWORK_LOG" in os.environ:
    socket.socket.connect = connect
    socket.getaddrinfo = getaddrinfo
