"""Semantic search and grounding over your own documents.

The names below are the public interface for Python programs::

    import twotower

    with twotower.open_index("documents") as index:
        for hit in index.search("how long is the warranty on seals?", limit=3).hits:
            print(hit.rank, hit.chunk.provenance.source, hit.chunk.text)

`twotower.langchain` has the classes for LangChain. Each name is imported when it is first used, so
that the command line starts without the libraries that a search needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twotower.app.services.index import Index, open_index
    from twotower.retrieval.search.options import SearchOptions
    from twotower.retrieval.search.results import Hit, SearchResult
    from twotower.retrieval.vocabulary.documents import Chunk
    from twotower.retrieval.vocabulary.errors import (
        ConfigurationError,
        DocumentError,
        IndexMismatch,
        ServiceError,
        TwoTowerError,
    )
    from twotower.retrieval.vocabulary.filters import Filter

__all__ = [
    "Chunk",
    "ConfigurationError",
    "DocumentError",
    "Filter",
    "Hit",
    "Index",
    "IndexMismatch",
    "SearchOptions",
    "SearchResult",
    "ServiceError",
    "TwoTowerError",
    "open_index",
]

_MODULES = {
    "Chunk": "retrieval.vocabulary.documents",
    "Filter": "retrieval.vocabulary.filters",
    "Hit": "retrieval.search.results",
    "Index": "app.services.index",
    "SearchOptions": "retrieval.search.options",
    "SearchResult": "retrieval.search.results",
    "open_index": "app.services.index",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'twotower' has no attribute '{name}'")
    module = _MODULES.get(name, "retrieval.vocabulary.errors")
    return getattr(import_module(f"twotower.{module}"), name)
