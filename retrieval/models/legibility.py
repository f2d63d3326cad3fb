"""Whether an encoder knows the words of a text, judged by the tokens that it makes of them.

An encoder that was trained on other languages takes a text apart into single letters. Its vectors
still rank passages, but by chance.
"""

import unicodedata

from tokenizers import Tokenizer

_LEAST = 0.5  # share of the letters in known words


def is_latin(text: str) -> bool:
    """Whether all letters of a text are Latin, which is cheap to see."""
    return text.isascii() or all(
        unicodedata.name(letter, "LATIN").startswith("LATIN")
        for letter in text
        if letter.isalpha() and not letter.isascii()
    )


def is_legible(text: str, tokenizer: Tokenizer) -> bool:
    """Whether most letters of a text are parts of words that the tokenizer knows.

    A Chinese character is a word by itself; a single letter of another script is none.
    """
    encoding = tokenizer.encode(text, add_special_tokens=False)
    unknown = tokenizer.token_to_id("[UNK]"), tokenizer.token_to_id("<unk>")
    known = 0
    for id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
        letters = [letter for letter in text[start:end] if letter.isalpha()]
        if id not in unknown and (len(letters) > 1 or any(map(_is_ideograph, letters))):
            known += len(letters)
    return known >= sum(letter.isalpha() for letter in text) * _LEAST


def _is_ideograph(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("CJK")
