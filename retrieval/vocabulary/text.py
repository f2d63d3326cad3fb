"""One form for text, in passages and questions alike."""

import re
import unicodedata

# Runs of scripts that put no spaces between words, or particles behind them.
UNSPACED = re.compile(
    "["
    "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9d"  # Japanese
    "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003134f"  # Chinese characters
    "\uac00-\ud7a3"  # Korean, whose particles follow words without a space
    "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "]{2,}"
)
# Soft hyphens, characters without width, and byte order marks. Joiners stay: Persian and the
# scripts of India need them.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_LIGATURES = {
    ord(one): two
    for one, two in zip("ﬀﬁﬂﬃﬄﬅﬆ", ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True)
}
_REPLACED = _INVISIBLE | _LIGATURES


def normalised(text: str) -> str:
    """Compose accents (NFC), remove invisible characters, and write ligatures as letters."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", text).translate(_REPLACED)
