"""What a person says of a document: in a file beside it, or in its front matter.

``report.pdf.meta.json`` holds one JSON object for ``report.pdf``: text, numbers, true or false,
dates as text, and lists of text. Front matter in YAML at the head of a Markdown file says the same;
where both name a key, the file beside it wins.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from retrieval.errors import DocumentError
from retrieval.filters import KEYS
from retrieval.types import Metadata

SUFFIX = ".meta.json"
_MAX_BYTES = 64 * 1024
_KEY = re.compile(r"[A-Za-z_][\w-]{0,63}")


def sidecar_of(path: Path) -> Path:
    """Where the metadata of a file would be."""
    return path.with_name(path.name + SUFFIX)


def read_metadata(path: Path, front_matter: str = "") -> Metadata:
    """Read what is said of a document.

    Raises
    ------
    DocumentError
        If the file beside it is broken: what it says decides who finds the document.
    """
    said = _from_front_matter(front_matter)
    sidecar = sidecar_of(path)
    if sidecar.is_file():
        said |= _from_sidecar(sidecar)
    return said


def _from_sidecar(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        content = json.loads(path.read_text(encoding="utf-8")) if size <= _MAX_BYTES else None
        return _checked(content)
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DocumentError(
            f"its metadata in {path.name} cannot be read: {reason}", "metadata"
        ) from error


def _from_front_matter(text: str) -> dict[str, Any]:
    """What can be used of front matter; it is written for other programs too: nothing has to."""
    import yaml  # noqa: PLC0415 - keeps the start of every command short

    try:
        content = yaml.safe_load(text) if text else {}
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    found: dict[str, Any] = {}
    for key, value in content.items() if isinstance(content, Mapping) else ():
        try:
            found |= _checked({str(key): value})
        except ValueError:
            continue
    return found


def _checked(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(f"it is no JSON object of at most {_MAX_BYTES // 1024} KB")  # noqa: TRY004
    checked = {}
    for key, value in content.items():
        if key in KEYS:
            if key == "title":
                continue  # the document's own, shown already
            raise ValueError(f"'{key}' is a name of twotower's own; choose another")
        if not _KEY.fullmatch(key):
            raise ValueError(f"'{key}' is no name for a key: letters, digits, '_' and '-'")
        if value is not None:
            checked[key] = _value(key, value)
    return checked


def _value(key: str, value: Any) -> str | int | float | tuple[str, ...]:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str | date | datetime):
        return value if isinstance(value, str) else value.isoformat()
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return tuple(str(item) for item in value)
    raise ValueError(f"'{key}' is neither text nor a number nor a list of them")
