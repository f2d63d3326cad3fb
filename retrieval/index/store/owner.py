"""The lock of an embedded collection: one process owns it, and others learn which one.

The engine has a lock of its own, but takes it after it has read its files: a process that opens a
collection while another one closes it continues with the old content, and the last writes are lost.
So this lock is taken before the engine opens the collection, and released after it has closed it.
"""

import contextlib
import json
import os
import sys
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

from twotower.retrieval.vocabulary.errors import InUse

if sys.platform == "win32":
    import msvcrt

    def _lock(file: TextIOWrapper) -> None:
        file.seek(2**30)  # beyond the note, which other processes read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: TextIOWrapper) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Ownership:
    """The right to open a folder; it ends with `release`, or with the process.

    Parameters
    ----------
    short_lived
        True if this process releases it in a moment.

    Raises
    ------
    InUse
        If another process owns the folder, or this one already; the message names the owner.
    OSError
        If the lock file cannot be written.

    Notes
    -----
    The system's locks are used directly, in twenty lines: `filelock` takes 60 ms to import, and
    every search would wait for that.
    """

    def __init__(self, folder: Path, *, short_lived: bool) -> None:
        path = folder.parent / ".owners" / folder.name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+", encoding="utf-8")
        try:
            _lock(self._file)
        except OSError:
            owner, short_lived = _read_owner(path)
            self._file.close()
            raise InUse(
                f"collection in {folder} is open in {owner}: wait until it ends, or stop it",
                short_lived,
            ) from None
        note = {
            "brief": short_lived,
            "pid": os.getpid(),
            "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200],
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with contextlib.suppress(OSError):  # the lock holds without the note: the disk may be full
            self._file.truncate(0)
            self._file.write(json.dumps(note))
            self._file.flush()

    def release(self) -> None:
        """Let another process own the folder."""
        with contextlib.suppress(OSError):
            self._file.truncate(0)
        self._file.close()


def _read_owner(path: Path) -> tuple[str, bool]:
    """Describe the owner, and say whether it releases the folder in a moment.

    An empty note is just being written, or was just removed.
    """
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        description = f"process {owner['pid']} (`{owner['command']}`, since {owner['since']})"
        return description, bool(owner["brief"])
    except (OSError, ValueError, KeyError):
        return "another process", True
