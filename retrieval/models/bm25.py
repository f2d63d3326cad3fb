"""BM25 weights as sparse vectors, computed with the analyser of the Qdrant engine."""

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import qdrant_edge

from twotower.retrieval.models.variants import with_variants
from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.retrieval.vocabulary.vectors import SparseVector

_K1 = 1.2
_WORD = re.compile(r"\w+")
# XK-2041/b, 4.2.1, a.nurmi@example.org: parts joined without a space, with a digit, @ or _ in them.
# A match begins with a whole part: trying each letter of a long run would take quadratic time.
_IDENTIFIER = re.compile(r"(?<!\w)(?:\w+(?:[-/._@:+#]+\w+)+|\w+_\w+)")
_DISTINCTIVE = re.compile(r"[\d@_]")
# Term numbers of identifiers start here. Those of the engine are lower, so they cannot collide.
_FIRST_IDENTIFIER = 2**31


@dataclass(frozen=True, slots=True)
class Bm25Settings:
    """Settings of BM25; they are on the collection's card because the stored vectors contain them.

    Attributes
    ----------
    k1, b
        Saturation of term frequency and strength of length normalisation. 1.2 and 0.75 are
        Robertson and Zaragoza's usual values ('The Probabilistic Relevance Framework: BM25 and
        Beyond', 2009, section 3.5) and the engine's defaults.
    avg_len
        Mean length of a passage, in terms.
    language
        Language of the engine's stemmer and stop words.
    """

    k1: float = 1.2
    b: float = 0.75
    avg_len: float = 100.0
    language: str = "english"


class Bm25:
    """Encodes texts as sparse vectors; the store applies the inverse document frequency at search.

    The engine splits texts at punctuation, stems the words and drops stop words. In addition, an
    identifier is a term as written, so that a search for ``XK-2041/b`` ranks exact matches first.
    """

    def __init__(self, settings: Bm25Settings) -> None:
        self.settings = settings
        self._model = qdrant_edge.Bm25(
            qdrant_edge.Bm25Config(
                k=settings.k1, b=settings.b, avg_len=settings.avg_len, language=settings.language
            )
        )

    def encode_question(self, text: str) -> SparseVector:
        """Encode a question: every distinct term has the weight 1."""
        text = with_variants(text)
        terms = dict.fromkeys([*self._model.embed_query(text).indices, *_identifiers(text)], 1.0)
        return SparseVector(tuple(terms), tuple(terms.values()))

    def encode_passage(self, text: str) -> SparseVector:
        """Encode a passage: every distinct term has its saturated, length-normalised frequency."""
        text = with_variants(text)
        vector = self._model.embed_document(text)
        identifiers = _identifiers(text)
        if not identifiers:
            return SparseVector(tuple(vector.indices), tuple(vector.values))
        s = self.settings
        length = count_terms(text, s.language) / s.avg_len
        norm = s.k1 * (1 - s.b + s.b * length)
        weights = (count * (s.k1 + 1) / (count + norm) for count in identifiers.values())
        return SparseVector((*vector.indices, *identifiers), (*vector.values, *weights))

    def words(self, text: str) -> dict[int, str]:
        """Map each term of a text to its word; to the first one if several words share the term."""
        words: dict[int, str] = {}
        text = with_variants(text)
        for word in _WORD.findall(text):
            for term in self._model.embed_query(word).indices:
                words.setdefault(term, word)
        for match in _IDENTIFIER.finditer(text):
            for term in _identifiers(match[0]):
                words[term] = match[0]
        return words

    def matches(self, question: str, text: str) -> Iterator[tuple[int, int]]:
        """Find the words of a text that share a term with the question, as half-open offsets."""
        terms = set(self._model.embed_query(with_variants(question)).indices)
        is_match: dict[str, bool] = {}
        for word in _WORD.finditer(text):
            key = word[0]
            if key not in is_match:
                own = self._model.embed_query(with_variants(key)).indices
                is_match[key] = not terms.isdisjoint(own)
            if is_match[key]:
                yield word.span()


def _identifiers(text: str) -> Counter[int]:
    """Count the identifiers of a text, by term number."""
    return Counter(
        _FIRST_IDENTIFIER
        + zlib.crc32(match[0].lower().encode("utf-8", "surrogatepass")) % _FIRST_IDENTIFIER
        for match in _IDENTIFIER.finditer(text)
        if _DISTINCTIVE.search(match[0])
    )


def check_language(language: str) -> None:
    """Check that the engine supports a language, before any work is done.

    Raises
    ------
    ConfigurationError
        If the engine has no stemmer and stop words for the language.
    """
    try:
        qdrant_edge.Bm25(qdrant_edge.Bm25Config(language=language))
    except ValueError as error:
        raise ConfigurationError(
            f"TWOTOWER_LANGUAGE is '{language}', which BM25 does not support ({error}): set it to "
            "the name of a language, such as english or german"
        ) from error


def count_terms(text: str, language: str) -> int:
    """Count the terms of a passage that the engine's analyser keeps; stop words do not count.

    The engine does not report the length, so it is computed from the weights: without length
    normalisation (b = 0), the weight of a term of frequency ``f`` is ``f (k1 + 1) / (f + k1)``.
    """
    weights = _without_normalisation(language).embed_document(with_variants(text)).values
    return round(sum(v * _K1 / (_K1 + 1.0 - v) for v in weights))


def fit_average_length(settings: Bm25Settings, texts: Sequence[str]) -> Bm25Settings:
    """Set the mean length to that of the given passages, of which there must be at least one."""
    terms = sum(count_terms(text, settings.language) for text in texts)
    return replace(settings, avg_len=round(max(terms / len(texts), 1.0), 1))


@cache
def _without_normalisation(language: str) -> qdrant_edge.Bm25:
    return qdrant_edge.Bm25(qdrant_edge.Bm25Config(k=_K1, b=0.0, language=language))
