"""BM25 weights as sparse vectors, computed with the analyser of the Qdrant engine."""

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import qdrant_edge

from twotower.retrieval.models.languages import AUTO, STEMMED, language_of
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


_MARK_WEIGHT = 0.001  # of the term for a passage's language; no question has it


@dataclass(frozen=True, slots=True)
class QuestionTerms:
    """The distinct terms of a question.

    Attributes
    ----------
    own
        Terms in the question's own language.
    others
        More terms, as the other languages of the collection stem the words.
    """

    own: tuple[int, ...]
    others: tuple[int, ...] = ()


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
        Language of the engine's stemmer and stop words; ``auto`` is the language of each passage.
    """

    k1: float = 1.2
    b: float = 0.75
    avg_len: float = 100.0
    language: str = AUTO


class Bm25:
    """Encodes texts as sparse vectors; the store applies the inverse document frequency at search.

    The engine splits texts at punctuation, stems the words and drops stop words. In addition, an
    identifier is a term as written, so that a search for ``XK-2041/b`` ranks exact matches first.

    With the language ``auto``, each passage is analysed in its own language and has that language
    as one more term. The methods for questions are given the languages of the collection.
    """

    def __init__(self, settings: Bm25Settings) -> None:
        self.settings = settings
        self._analysers: dict[str, qdrant_edge.Bm25] = {}

    @property
    def marks(self) -> dict[int, str]:
        """Map the terms that stand for the language of a passage to the language."""
        if self.settings.language != AUTO:
            return {}
        return {_mark(language): language for language in STEMMED}

    def question_terms(self, text: str, languages: Sequence[str]) -> QuestionTerms:
        """Find the terms of a question in the languages of a collection.

        A stop word of the question's language is no term in any of them.
        """
        text = with_variants(text)
        identifiers = tuple(_identifiers(text))
        if len(languages) == 1:
            return QuestionTerms((*self._terms(text, languages[0]), *identifiers))
        language = language_of(text)
        words = " ".join(w for w in _WORD.findall(text) if self._terms(w, language))
        own = (*self._terms(text, language), *identifiers)
        others = {term for other in languages for term in self._terms(words, other)}
        return QuestionTerms(own, tuple(sorted(others.difference(own))))

    def encode_passage(self, text: str) -> SparseVector:
        """Encode a passage: every distinct term has its saturated, length-normalised frequency."""
        s = self.settings
        language = _language(text, s.language)
        text = with_variants(text)
        vector = self._analyser(language).embed_document(text)
        terms = dict(zip(vector.indices, vector.values, strict=True))
        if identifiers := _identifiers(text):
            length = count_terms(text, language) / s.avg_len
            norm = s.k1 * (1 - s.b + s.b * length)
            for term, count in identifiers.items():
                terms[term] = count * (s.k1 + 1) / (count + norm)
        if s.language == AUTO:
            terms[_mark(language)] = _MARK_WEIGHT
        return SparseVector(tuple(terms), tuple(terms.values()))

    def words(self, text: str, languages: Sequence[str]) -> dict[int, str]:
        """Map each term of a text to its word; to the first one if several words share the term."""
        words: dict[int, str] = {}
        text = with_variants(text)
        for word in _WORD.findall(text):
            for language in languages:
                for term in self._terms(word, language):
                    words.setdefault(term, word)
        for match in _IDENTIFIER.finditer(text):
            for term in _identifiers(match[0]):
                words[term] = match[0]
        return words

    def matches(
        self, question: str, text: str, languages: Sequence[str]
    ) -> Iterator[tuple[int, int]]:
        """Find the words of a text that share a term with the question, as half-open offsets."""
        question = with_variants(question)
        terms = {language: set(self._terms(question, language)) for language in languages}
        is_match: dict[str, bool] = {}
        for word in _WORD.finditer(text):
            key = word[0]
            if key not in is_match:
                forms = with_variants(key)
                is_match[key] = any(
                    not own.isdisjoint(self._terms(forms, language))
                    for language, own in terms.items()
                )
            if is_match[key]:
                yield word.span()

    def _terms(self, text: str, language: str) -> Sequence[int]:
        """Return the distinct terms of a text."""
        terms: Sequence[int] = self._analyser(language).embed_query(text).indices
        return terms

    def _analyser(self, language: str) -> qdrant_edge.Bm25:
        if language not in self._analysers:
            s = self.settings
            self._analysers[language] = qdrant_edge.Bm25(
                qdrant_edge.Bm25Config(k=s.k1, b=s.b, avg_len=s.avg_len, language=language)
            )
        return self._analysers[language]


def _language(text: str, setting: str) -> str:
    return language_of(text) if setting == AUTO else setting


def _mark(language: str) -> int:
    return _FIRST_IDENTIFIER + zlib.crc32(f"\0{language}".encode()) % _FIRST_IDENTIFIER


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
    if language == AUTO:
        return
    try:
        qdrant_edge.Bm25(qdrant_edge.Bm25Config(language=language))
    except ValueError as error:
        raise ConfigurationError(
            f"TWOTOWER_LANGUAGE is '{language}', which BM25 does not support ({error}): set it to "
            f"{AUTO}, or to the name of a language, such as english or german"
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
    terms = sum(count_terms(text, _language(text, settings.language)) for text in texts)
    return replace(settings, avg_len=round(max(terms / len(texts), 1.0), 1))


@cache
def _without_normalisation(language: str) -> qdrant_edge.Bm25:
    return qdrant_edge.Bm25(qdrant_edge.Bm25Config(k=_K1, b=0.0, language=language))
