"""Bytes of a text file to a string, whatever its encoding."""

import re
from pathlib import Path

from retrieval.errors import DocumentError

_SNIFFED = 65536
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # escape sequences stand in real logs
_MOST_CONTROL = 0.02  # of a text's characters; real text has next to none


def read_text(path: Path) -> str:
    """Decode a text file: UTF-8, a byte order mark, or the most probable other encoding.

    Raises
    ------
    DocumentError
        ``binary`` if no encoding makes text of it.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = _guess_encoding(data)
    sample = text[:_SNIFFED]
    if len(_CONTROL.findall(sample)) > len(sample) * _MOST_CONTROL:
        raise DocumentError(
            f"the file is binary, not text: give it the suffix of its format, not '{path.suffix}'",
            "binary",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _guess_encoding(data: bytes) -> str:
    import charset_normalizer  # noqa: PLC0415 - 0.1 s, and few files need it

    best = charset_normalizer.from_bytes(data).best()
    if best is None:
        raise DocumentError("the file is binary, or text in no known encoding", "binary")
    return str(best)
