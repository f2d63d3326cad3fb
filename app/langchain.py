"""LangChain: a collection as a retriever, its encoder as embeddings, a reranker as a compressor.

::

    retriever = TwoTowerRetriever(k=4)                              # with the settings
    retriever = TwoTowerRetriever(collection="papers", filter=["type=pdf"])
    retriever = TwoTowerRetriever(retriever=application.retriever(collection))

Only one process at a time can open an embedded collection. This process holds it from the first
question until `TwoTowerRetriever.close`.
"""

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
    Callbacks,
)
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.prompts import PromptTemplate
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from langchain_core.runnables import run_in_executor
from langchain_core.tools import BaseTool, create_retriever_tool
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from twotower.app.settings import load_settings
from twotower.app.wiring import Application
from twotower.retrieval.models.encoder import Encoder
from twotower.retrieval.search.context import build_context
from twotower.retrieval.search.options import OPTIONS, SearchOptions
from twotower.retrieval.search.results import Hit, Judgement
from twotower.retrieval.search.retriever import Retriever
from twotower.retrieval.vocabulary.documents import Chunk, Provenance
from twotower.retrieval.vocabulary.filters import Filter, parse_filters

# Field of the retriever by search option: two have LangChain's own names.
_FIELDS = {{"limit": "k", "where": "filter"}.get(name, name): name for name in OPTIONS}
_TOOL_NAME = "search_documents"
_TOOL_DESCRIPTION = (
    "Search the user's own documents. Ask in plain words, or put exact words that must occur in "
    "double quotes. Each passage comes with its source and page: cite them."
)
_SHOWN = PromptTemplate.from_template("[{citation}]\n{page_content}")
_NAMESPACE = UUID("5f0dbd7e-3a8f-5a55-8a86-3f6c9f6f4a10")


class TwoTowerRetriever(BaseRetriever):
    """Retrieves passages of one collection, with every leg of its index.

    Every search option is a field, and an argument of a call: ``retriever.invoke("...", k=3)``. An
    option that is given in neither place comes from the settings, or from what `twotower tune`
    found for the collection. `SearchOptions` describes the options; ``k`` is its ``limit``, and
    ``filter`` its ``where``.

    Attributes
    ----------
    collection
        Name of the collection; ``None`` uses the one in the settings.
    settings
        Settings by their names, such as ``{"data_dir": "..."}``; they override the environment.
    retriever
        A retriever that is ready, in place of the two above.
    k
        Maximum number of passages.
    filter
        Expressions such as ``"type=pdf"``, all of which must hold, or a `Filter`.
    """

    collection: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    retriever: Retriever | None = Field(default=None, exclude=True)
    k: int | None = None
    filter: str | list[str] | Filter | None = None
    mode: str | None = None
    fusion: str | None = None
    weights: dict[str, float] | None = None
    depth: int | None = None
    per_document: int | None = None
    expand: int | None = None
    diversity: float | None = None
    rerank: str | None = None
    rerank_depth: int | None = None
    rerank_weight: float | None = None
    budget_ms: int | None = None
    feedback: int | None = None
    feedback_weight: float | None = None

    model_config = ConfigDict(arbitrary_types_allowed=True)

    _lock: Any = PrivateAttr(default_factory=threading.RLock)
    _opened: Any = PrivateAttr(default=None)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: LangChain may serialise all fields but a ready retriever."""
        return True

    def close(self) -> None:
        """Release the collection; the next question opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened[1].close()
                self._opened = None

    def as_tool(
        self,
        args_schema: type[BaseModel] | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
        arg_types: dict[str, type] | None = None,
    ) -> BaseTool:
        """Make a tool for an agent; it shows source and page of each passage.

        Parameters
        ----------
        name, description
            Name and description of the tool for the language model.
        """
        if args_schema is not None or arg_types is not None:
            return super().as_tool(
                args_schema, name=name, description=description, arg_types=arg_types
            )
        return create_retriever_tool(
            self, name or _TOOL_NAME, description or _TOOL_DESCRIPTION, document_prompt=_SHOWN
        )

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        """Describe the retriever for tracing."""
        params = super()._get_ls_params(**kwargs)
        params["ls_retriever_name"] = "twotower"
        params["ls_vector_store_provider"] = "qdrant"
        params["ls_embedding_provider"] = "sentence-transformers"
        with suppress(Exception):  # a trace without the name is better than an error
            params["ls_embedding_model"] = load_settings(None, **self.settings).encoder
        return params

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        del run_manager  # LangChain reports start, end and error
        if unknown := options.keys() - _FIELDS.keys():
            raise TypeError(f"unknown options {sorted(unknown)}; known are {sorted(_FIELDS)}")
        with self._lock:  # encoder and engine take one question at a time
            retriever = self.retriever or self._open()
            result = retriever.retrieve(query, self._options(retriever, options))
        return [document_of(hit, result.judgement) for hit in result.hits]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return await run_in_executor(
            None,
            self._get_relevant_documents,
            query,
            run_manager=run_manager.get_sync(),
            **options,
        )

    def _open(self) -> Retriever:
        if self._opened is None:
            application = Application(
                load_settings(None, **({"collection": self.collection} | self.settings))
            )
            collection = application.catalog.open(application.settings.collection)
            self._opened = (application.retriever(collection), collection)
        retriever: Retriever = self._opened[0]
        return retriever

    def _options(self, retriever: Retriever, overrides: dict[str, Any]) -> SearchOptions:
        chosen = {
            option: overrides.get(field, getattr(self, field)) for field, option in _FIELDS.items()
        }
        where = chosen["where"]
        if where is not None and not isinstance(where, Filter):
            expressions = [where] if isinstance(where, str) else where
            chosen["where"] = parse_filters(expressions, retriever.metadata_keys())
        given = {option: value for option, value in chosen.items() if value is not None}
        return replace(retriever.options, **given)


def document_of(hit: Hit, judgement: Judgement) -> Document:
    """Turn a hit into a document; its neighbouring passages are joined to its text."""
    (passage,) = build_context([hit], 2**31, len).passages
    origin = hit.chunk.provenance
    return Document(
        id=str(hit.chunk.id),
        page_content=passage.text,
        metadata={
            **hit.chunk.metadata,
            "copies": [place.location for place in hit.copies],
            "outdated": hit.outdated,
            "source": origin.source,
            "title": origin.title,
            "page": passage.page,
            "headings": list(origin.headings),
            "citation": passage.citation,
            "score": hit.score,
            "legs": {name: leg._asdict() if leg else None for name, leg in hit.legs.items()},
            "answerable": judgement.answerable,
        },
    )


class TwoTowerEmbeddings(BaseModel, Embeddings):
    """The encoder as embeddings: each tower with its prompt, for questions or for documents.

    Attributes
    ----------
    encoder
        A packaged model, a folder, or a name on the model hub; ``None`` uses the encoder in the
        settings.
    settings
        Settings by their names; they override the environment.
    """

    encoder: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)

    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _loaded: Any = PrivateAttr(default=None)

    def embed_query(self, text: str) -> list[float]:
        """Encode a question: d floats."""
        with self._lock:
            row: list[float] = self._tower().encode_questions([text])[0].tolist()
        return row

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Encode documents: d floats each."""
        if not texts:
            return []
        with self._lock:
            rows: list[list[float]] = self._tower().encode_passages(texts).tolist()
        return rows

    def _tower(self) -> Encoder:
        if self._loaded is None:
            chosen = {"encoder": self.encoder} | self.settings
            self._loaded = Application(load_settings(None, **chosen)).encoder()
        tower: Encoder = self._loaded
        return tower


class TwoTowerDocumentCompressor(BaseDocumentCompressor):
    """A reranker as a compressor: it keeps the best ``top_n`` documents, best first.

    Attributes
    ----------
    kind
        ``late-interaction``, or ``cross-encoder``, which the setting ``cross_encoder`` names.
    settings
        Settings by their names; they override the environment.
    """

    kind: str = "late-interaction"
    top_n: int = Field(default=4, ge=1)
    settings: dict[str, Any] = Field(default_factory=dict)

    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _loaded: Any = PrivateAttr(default=None)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Rerank documents; each gets its score as ``rerank_score``."""
        del callbacks
        if not documents:
            return []
        with self._lock:
            if self._loaded is None:
                application = Application(load_settings(None, **self.settings))
                self._loaded = application.reranker(self.kind)
            scores = self._loaded.scores(query, [_chunk_of(document) for document in documents])
        ranked = sorted(zip(scores, documents, strict=True), key=lambda pair: -pair[0])
        return [
            document.model_copy(update={"metadata": {**document.metadata, "rerank_score": score}})
            for score, document in ranked[: self.top_n]
        ]


def _chunk_of(document: Document) -> Chunk:
    text = document.page_content
    headings = tuple(map(str, document.metadata.get("headings") or ()))
    origin = Provenance(
        str(document.metadata.get("source", "")), "", headings, None, None, 0, len(text)
    )
    return Chunk(uuid5(_NAMESPACE, text), text, " > ".join(headings), 0, origin)
