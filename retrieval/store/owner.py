"""Who has a local collection open: told to the one who comes second.

The engine's own lock keeps the second process out; this file beside it only names the first.
"""

import contextlib
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path


def claim(folder: Path) -> None:
    """Write this process down as the owner."""
    owner = {
        "pid": os.getpid(),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200],
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with contextlib.suppress(OSError):  # the note is a courtesy
        _file(folder).parent.mkdir(exist_ok=True)
        _file(folder).write_text(json.dumps(owner), encoding="utf-8")


def release(folder: Path) -> None:
    """Take the note away again."""
    with contextlib.suppress(OSError):
        _file(folder).unlink()


def describe_owner(folder: Path) -> str:
    """Name the owner for an error message."""
    try:
        owner = json.loads(_file(folder).read_text(encoding="utf-8"))
        return f"process {owner['pid']} (`{owner['command']}`, since {owner['since']})"
    except (OSError, ValueError, KeyError):
        return "another process"


def _file(folder: Path) -> Path:
    return folder.parent / ".owners" / f"{folder.name}.json"  # no collection's name has a dot first
