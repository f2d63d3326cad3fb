"""The language of a text, among those whose words the engine's BM25 stems."""

import threading
from functools import cache
from typing import Any

AUTO = "auto"
DEFAULT = "english"  # where the engine has no stemmer, or the text is too short to tell
_STEMMED = {
    "ar": "arabic", "da": "danish", "nl": "dutch", "en": "english", "fi": "finnish", "fr": "french",
    "de": "german", "el": "greek", "hu": "hungarian", "it": "italian", "nb": "norwegian",
    "nn": "norwegian", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "es": "spanish", "sv": "swedish", "tr": "turkish",
}  # fmt: skip
# Languages that are told from those above but have no stemmer.
_OTHERS = (
    "bg", "bn", "ca", "cs", "et", "eu", "fa", "he", "hi", "hr", "id", "ja", "kk", "ko", "lt", "lv",
    "mk", "ms", "pl", "sk", "sl", "sr", "th", "uk", "ur", "vi", "zh",
)  # fmt: skip
_SURE = 0.7  # probability
_READ = 2000  # characters
_SHORTEST = 20  # characters of a text whose language is told

_LOADING = threading.Lock()

STEMMED = tuple(sorted(set(_STEMMED.values())))


def language_of(text: str) -> str:
    """Return the name of a text's language; English if the engine does not stem the language."""
    if len(text) < _SHORTEST:
        return DEFAULT
    code, probability = _identifier().classify(text[:_READ])
    return _STEMMED.get(code, DEFAULT) if probability >= _SURE else DEFAULT


def load_identifier() -> None:
    """Load the model now; it takes half a second."""
    _identifier()


def _identifier() -> Any:
    with _LOADING:
        return _loaded()


@cache
def _loaded() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - imports slowly

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    wanted = {*_STEMMED, *_OTHERS}
    identifier.set_languages(
        [code for code in dict.fromkeys(identifier.nb_classes) if code in wanted]
    )
    return identifier
