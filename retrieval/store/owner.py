"""One owner at a time for a local collection, named to the one who comes second.

The engine has a lock of its own, but takes it after it has read its files: a process that opens a
collection while another one closes it goes on with what it read before, and what was written last
is lost. So this lock is held before the engine is asked, and until it has closed.
"""

import contextlib
import json
import os
import sys
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

from retrieval.errors import InUse

if sys.platform == "win32":
    import msvcrt

    def _lock(file: TextIOWrapper) -> None:
        file.seek(2**30)  # beyond the note, which others read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: TextIOWrapper) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Ownership:
    """The right to open a folder; it ends with `release`, or with the process.

    Parameters
    ----------
    brief
        Whether this process lets go of it in a moment.

    Raises
    ------
    InUse
        If another process has it, or this one already; the owner is named.
    OSError
        If the file of the lock cannot be written.

    Notes
    -----
    Twenty lines of the system's locks in place of `filelock`, which takes 60 ms to import: every
    search pays them.
    """

    def __init__(self, folder: Path, *, brief: bool) -> None:
        path = folder.parent / ".owners" / folder.name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+", encoding="utf-8")
        try:
            _lock(self._file)
        except OSError:
            owner, lets_go = _read_owner(path)
            self._file.close()
            raise InUse(
                f"collection in {folder} is open in {owner}: wait until it ends, or stop it",
                lets_go,
            ) from None
        note = {
            "brief": brief,
            "pid": os.getpid(),
            "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200],
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with contextlib.suppress(OSError):  # the note is a courtesy: the disk may be full
            self._file.truncate(0)
            self._file.write(json.dumps(note))
            self._file.flush()

    def release(self) -> None:
        """Let another process have it."""
        with contextlib.suppress(OSError):
            self._file.truncate(0)
        self._file.close()


def _read_owner(path: Path) -> tuple[str, bool]:
    """Name the owner, and tell whether it lets go in a moment.

    A note that is empty is just being written, or was just taken away.
    """
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        named = f"process {owner['pid']} (`{owner['command']}`, since {owner['since']})"
        return named, bool(owner["brief"])
    except (OSError, ValueError, KeyError):
        return "another process", True
