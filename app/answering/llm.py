"""The language model: any LangChain chat model, or a server that speaks OpenAI's protocol."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel

from twotower.app.answering.prompts import Generate, Message
from twotower.app.settings import Settings
from twotower.retrieval.vocabulary.errors import ConfigurationError, MissingExtra, ServiceError

# Default addresses of servers on this machine; empty uses the default of the library.
PROVIDERS = {
    "openai": "",
    "ollama": "http://127.0.0.1:11434/v1",
    "vllm": "http://127.0.0.1:8000/v1",
    "llamacpp": "http://127.0.0.1:8080/v1",
    "lmstudio": "http://127.0.0.1:1234/v1",
}


def load_generate(settings: Settings) -> Generate | None:
    """Make a function that calls the model in the settings; ``None`` where none is set.

    Raises
    ------
    ConfigurationError
        If the setting is not ``provider:model`` of a known provider.
    MissingExtra
        If the extra `llm` is not installed.
    """
    if not settings.llm:
        return None
    provider, _, name = settings.llm.partition(":")
    if provider not in PROVIDERS or not name:
        raise ConfigurationError(
            f"TWOTOWER_LLM is '{settings.llm}': write PROVIDER:MODEL, with one of "
            f"{', '.join(PROVIDERS)}, such as ollama:qwen3"
        )
    try:
        from langchain_openai import ChatOpenAI  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra(
            "TWOTOWER_LLM needs the extra `llm`: pip install 'twotower[llm]'"
        ) from error
    url = settings.llm_url or PROVIDERS[provider]
    key = settings.llm_api_key.get_secret_value()
    more: dict[str, Any] = {"base_url": url} if url else {}
    if key or provider != "openai":  # a local server needs no key, but the library does
        more["api_key"] = key or "none"
    try:
        model = ChatOpenAI(
            model=name, timeout=settings.llm_seconds, max_retries=1, temperature=0, **more
        )
    except Exception as error:  # the library's own error where it finds no key
        raise ConfigurationError(f"TWOTOWER_LLM {settings.llm}: {_line(error)}") from error
    return from_chat_model(model, url or settings.llm, settings.llm_seconds, says_end=True)


def from_chat_model(
    model: BaseChatModel,
    name: str,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    *,
    says_end: bool = False,
) -> Generate:
    """Make a function that yields the answer of a chat model piece by piece.

    Parameters
    ----------
    name
        Name of the model in error messages.
    seconds
        Maximum duration of a whole answer.
    says_end
        True if the model gives a reason when an answer ends, as servers of OpenAI's protocol do;
        an answer without one was cut off.
    """

    def generate(messages: Sequence[Message]) -> Iterator[str]:
        started, length, ended = clock(), 0, not says_end
        try:
            for piece in model.stream(list(messages)):
                text = str(piece.text)
                ended = ended or bool(piece.response_metadata.get("finish_reason"))
                length += len(text)
                if clock() - started > seconds:
                    raise TimeoutError(f"it took longer than {seconds:g} s")  # noqa: TRY301
                if text:
                    yield text
            if not ended:
                raise EOFError("the connection ended before the answer did")  # noqa: TRY301
        except Exception as error:  # libraries raise many kinds for a server that misbehaves
            raise ServiceError(_broken(name, _line(error), length)) from error

    return generate


def _broken(name: str, what: str, length: int) -> str:
    after = f" after {length} characters" if length else ""
    return (
        f"the language model at {name} failed{after} ({what}): check TWOTOWER_LLM and that the "
        "server runs, or leave TWOTOWER_LLM empty to get quotations"
    )


def _line(error: Exception) -> str:
    """Shorten an error to one line, which leaves out long and secret parts."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{type(error).__name__}: {text}"[:200]
