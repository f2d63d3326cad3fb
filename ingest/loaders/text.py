"""Decode text files in any encoding."""

import codecs
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from twotower.retrieval.vocabulary.errors import DocumentError

_SAMPLE = 65536  # bytes or characters
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # real logs contain escape sequences
_MOST_CONTROL = 0.02  # maximum share of control characters; real text has almost none
_SOUND = 10  # letters of more than one byte for each wrong byte in damaged UTF-8, at least
_WORD = re.compile(r"[^\W\d_]+")
_C1_CONTROL = re.compile(r"[\x80-\x9f]")  # characters that text in another encoding decodes to
_ALPHABETS = frozenset({"LATIN", "CYRILLIC", "GREEK", "HEBREW", "ARABIC", "THAI", "HALFWIDTH"})
# Encodings that people's files have, in the spelling of Python's codecs.
_USUAL = frozenset(
    {"utf-8", "ascii", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256"}
    | {"cp1257", "cp1258", "cp874", "tis-620", "koi8-r", "koi8-u", "cp866", "cp850", "cp852"}
    | {"cp437", "cp932", "shift_jis", "euc_jp", "iso2022_jp", "gb18030", "gb2312", "big5"}
    | {"cp949", "euc_kr", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"}
    | {"iso8859-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-8", "iso8859-9", "iso8859-15"}
)
# What is declared as the name on the left is written in the encoding on the right, which extends it
# (WHATWG Encoding Standard, section 4.2).
_WINDOWS = {"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252"}
_DECLARED = re.compile(
    rb"""<(?:meta|\?xml)\b[^>]{0,300}?(?:charset|encoding)\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE
)
_DECLARED_WITHIN = 4096  # bytes


def read_text(path: Path, markup: bool = False) -> str:
    """Decode a text file: as UTF-8, by its byte order mark, or in the most probable encoding.

    In ``markup`` the encoding that the file declares comes before guesses.

    Raises
    ------
    DocumentError
        ``binary`` if the file is not text in any encoding.
    """
    data = path.read_bytes()
    declared = _DECLARED.search(data[:_DECLARED_WITHIN]) if markup else None
    text = decode(data, declared[1].decode("ascii", "replace") if declared else "")
    if text is None:
        raise DocumentError("the file is binary, or text in an unknown encoding", "binary")
    sample = text[:_SAMPLE]
    if len(_CONTROL.findall(sample)) > len(sample) * _MOST_CONTROL:
        raise DocumentError(
            f"the file is binary, not text: '{path.suffix}' is not the suffix of its format",
            "binary",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decode(data: bytes, declared: str = "") -> str | None:
    """Decode bytes as UTF-8, or else in the most probable encoding; ``None`` if there is none.

    An encoding that the file declares comes first if the bytes are valid and plausible in it.

    Of the encodings that `chardet` ranks, the first wins in which no word mixes alphabets and no
    control character appears: its statistics alone read French as Cyrillic in short texts.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    damaged = data.decode("utf-8-sig", "replace")
    letters = sum(not character.isascii() for character in damaged)
    if damaged.count("\ufffd") * _SOUND < letters:
        return damaged  # a file that was cut inside a letter, or has a few wrong bytes
    best: tuple[int, str] | None = None
    for text in _decoded(data, declared):
        implausible = sum(map(_mixes_alphabets, _WORD.findall(text[:_SAMPLE])))
        if not implausible:
            return text
        if best is None or implausible < best[0]:
            best = implausible, text
    return best[1] if best else None


def _decoded(data: bytes, declared: str) -> Iterator[str]:
    """Yield the text in each plausible encoding, the most probable first."""
    import chardet  # few files need it

    sample = data[:_SAMPLE]
    guesses = chardet.detect_all(sample, ignore_threshold=True)
    names = dict.fromkeys(str(guess["encoding"]) for guess in guesses if guess["encoding"])
    usual = [name for name in names if codecs.lookup(name).name in _USUAL]
    first = [_WINDOWS.get(declared.lower(), declared)] if declared else []
    for name in dict.fromkeys((*first, *usual, "cp1252", *names)):
        try:
            text = data.decode(name).removeprefix("\ufeff")
        except (UnicodeDecodeError, LookupError):
            continue
        if not _C1_CONTROL.search(text[:_SAMPLE]):
            yield text


def _mixes_alphabets(word: str) -> bool:
    if word.isascii():
        return False
    alphabets = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
    return len(alphabets & _ALPHABETS) > 1
