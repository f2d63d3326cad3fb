"""The lexical leg: BM25 weights as sparse vectors, computed by the engine's own analyser."""

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import qdrant_edge

from retrieval.errors import ConfigurationError
from retrieval.types import SparseVector

_K = 1.2
_WORD = re.compile(r"\w+")
# XK-2041/b, 4.2.1, a.nurmi@example.org: parts joined without a space, a digit or @ or _ in them.
_IDENTIFIER = re.compile(r"\w+(?:[-/._@:+#]+\w+)+|\w+_\w+")
_TELLING = re.compile(r"[\d@_]")
_PHRASE = re.compile(r'"([^"]*\w[^"]*)"|\u201c([^\u201d]*\w[^\u201d]*)\u201d')
_OURS = 2**31  # the engine's term numbers are below, so identifiers cannot collide with them


@dataclass(frozen=True, slots=True)
class Bm25Settings:
    """How BM25 weighs terms; kept on the collection's card, because it is baked into the vectors.

    Attributes
    ----------
    k1, b
        Saturation of term frequency and strength of length normalisation. 1.2 and 0.75 are
        Robertson and Zaragoza's usual values ('The Probabilistic Relevance Framework: BM25 and
        Beyond', 2009, section 3.5) and the engine's defaults.
    avg_len
        Mean passage length in terms.
    language
        Of the engine's stemmer and stop words.
    """

    k1: float = 1.2
    b: float = 0.75
    avg_len: float = 100.0
    language: str = "english"


class Bm25:
    """Text to sparse vectors; the inverse document frequency is applied by the store at search.

    Words are the engine's: split at punctuation, stemmed, without stop words. An identifier is a
    term as it is written, beside its parts, so that ``XK-2041/b`` finds itself first.
    """

    def __init__(self, settings: Bm25Settings) -> None:
        self.settings = settings
        self._model = qdrant_edge.Bm25(
            qdrant_edge.Bm25Config(
                k=settings.k1, b=settings.b, avg_len=settings.avg_len, language=settings.language
            )
        )

    def encode_question(self, text: str) -> SparseVector:
        """Give every distinct term of a question the weight 1."""
        terms = dict.fromkeys([*self._model.embed_query(text).indices, *_identifiers(text)], 1.0)
        return SparseVector(tuple(terms), tuple(terms.values()))

    def encode_passage(self, text: str) -> SparseVector:
        """Give every distinct term of a passage its saturated, length-normalised frequency."""
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
        """Tell which word of a text each of its terms stands for; the first one of several."""
        words: dict[int, str] = {}
        for word in _WORD.findall(text):
            for term in self._model.embed_query(word).indices:
                words.setdefault(term, word)
        for match in _IDENTIFIER.finditer(text):
            for term in _identifiers(match[0]):
                words[term] = match[0]
        return words

    def matches(self, question: str, text: str) -> Iterator[tuple[int, int]]:
        """Find the words of a text that share a term with the question: offsets, half-open."""
        wanted = set(self._model.embed_query(question).indices)
        known: dict[str, bool] = {}
        for word in _WORD.finditer(text):
            key = word[0].lower()
            if key not in known:
                known[key] = not wanted.isdisjoint(self._model.embed_query(key).indices)
            if known[key]:
                yield word.span()


def phrases(question: str) -> list[str]:
    """Find what stands in double quotes: it has to be in a passage as it is written."""
    return [(straight or curly).strip() for straight, curly in _PHRASE.findall(question)]


def _identifiers(text: str) -> Counter[int]:
    """Count the identifiers of a text, by their term numbers."""
    return Counter(
        _OURS + zlib.crc32(match[0].lower().encode("utf-8", "surrogatepass")) % _OURS
        for match in _IDENTIFIER.finditer(text)
        if _TELLING.search(match[0])
    )


def check_language(language: str) -> None:
    """Fail before any work is done.

    Raises
    ------
    ConfigurationError
        If the engine has no stemmer and stop words for the language.
    """
    try:
        qdrant_edge.Bm25(qdrant_edge.Bm25Config(language=language))
    except ValueError as error:
        raise ConfigurationError(
            f"TWOTOWER_LANGUAGE is '{language}', which BM25 does not know: {error}"
        ) from error


def count_terms(text: str, language: str) -> int:
    """Count the terms of a passage as the engine's analyser sees them, stop words left out.

    The engine does not tell the length, so it is read off its weights: without length
    normalisation (b = 0) a term of frequency ``f`` weighs ``f (k + 1) / (f + k)``.
    """
    weights = _without_length(language).embed_document(text).values
    return round(sum(v * _K / (_K + 1.0 - v) for v in weights))


def fitted(settings: Bm25Settings, texts: Sequence[str]) -> Bm25Settings:
    """Set the mean passage length to that of some passages; there has to be one."""
    terms = sum(count_terms(text, settings.language) for text in texts)
    return replace(settings, avg_len=round(max(terms / len(texts), 1.0), 1))


@cache
def _without_length(language: str) -> qdrant_edge.Bm25:
    return qdrant_edge.Bm25(qdrant_edge.Bm25Config(k=_K, b=0.0, language=language))
