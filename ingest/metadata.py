"""Metadata that people write for a document, in a sidecar file or in its front matter.

The sidecar ``report.pdf.meta.json`` holds one JSON object for ``report.pdf``: text, numbers, true
or false, dates as text, and lists of text. A Markdown file can hold the same as YAML front matter.
If both contain a key, the sidecar wins.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from twotower.retrieval.vocabulary.documents import Metadata
from twotower.retrieval.vocabulary.errors import DocumentError
from twotower.retrieval.vocabulary.filters import KEYS

SUFFIX = ".meta.json"
_MAX_BYTES = 64 * 1024
_KEY = re.compile(r"[A-Za-z_][\w-]{0,63}")


def sidecar_of(path: Path) -> Path:
    """Return the path of a file's sidecar, whether it exists or not."""
    return path.with_name(path.name + SUFFIX)


def read_metadata(path: Path, front_matter: str = "") -> Metadata:
    """Read the metadata of a document.

    Raises
    ------
    DocumentError
        If the sidecar is broken: filters depend on its content.
    """
    metadata = _from_front_matter(front_matter)
    sidecar = sidecar_of(path)
    if sidecar.is_file():
        metadata |= _from_sidecar(sidecar)
    return metadata


def _from_sidecar(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        content = json.loads(path.read_text(encoding="utf-8")) if size <= _MAX_BYTES else None
        return _checked(content)
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DocumentError(
            f"the metadata file {path.name} cannot be read: {reason}", "metadata"
        ) from error


def _from_front_matter(text: str) -> dict[str, Any]:
    """Return the usable keys of front matter; other programs use it too, so no key is an error."""
    try:
        content = yaml.safe_load(text) if text else {}
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    metadata: dict[str, Any] = {}
    for key, value in content.items() if isinstance(content, Mapping) else ():
        try:
            metadata |= _checked({str(key): value})
        except ValueError:
            continue
    return metadata


def _checked(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(f"it must be a JSON object of at most {_MAX_BYTES // 1024} KB")  # noqa: TRY004
    checked = {}
    for key, value in content.items():
        if key in KEYS:
            if key == "title":
                continue  # the document has its own title
            raise ValueError(f"'{key}' is a key of twotower itself; choose another name")
        if not _KEY.fullmatch(key):
            raise ValueError(
                f"'{key}' is not a valid key: a key has at most 64 letters, digits, '_' and '-', "
                "and begins with a letter or '_'"
            )
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
    raise ValueError(f"the value of '{key}' must be text, a number, or a list of these")
