"""A check of zip archives (docx, xlsx, epub and others) before a parser unpacks them."""

import zipfile
from pathlib import Path

from twotower.ingest.elements import Limits
from twotower.retrieval.vocabulary.errors import DocumentError

_SMALL = 20 * 2**20  # bytes unpacked; below it, the ratio does not matter


def check_archive(path: Path, limits: Limits) -> None:
    """Refuse an archive that unpacks to too much; archives inside it are never opened.

    Python's zipfile reads no more of an entry than its directory entry declares, so the declared
    sizes are what counts.

    Raises
    ------
    DocumentError
        ``archive-bomb``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError):
        return  # the loader reports what is wrong with the file
    ratio = unpacked / max(path.stat().st_size, 1)
    if unpacked > limits.max_expanded_mb * 2**20:
        raise DocumentError(
            f"the file unpacks to {unpacked / 2**20:.0f} MB; the limit is "
            f"{limits.max_expanded_mb} MB (TWOTOWER_MAX_EXPANDED_MB)",
            "archive-bomb",
        )
    if unpacked > _SMALL and ratio > limits.max_expansion:
        raise DocumentError(
            f"the file unpacks to {ratio:.0f} times its size; the limit is "
            f"{limits.max_expansion} times (TWOTOWER_MAX_EXPANSION)",
            "archive-bomb",
        )
