"""LangChain: a collection as a retriever, its encoder as embeddings, a reranker as a compressor.

::

    retriever = TwoTowerRetriever(k=4)                              # as the settings say
    retriever = TwoTowerRetriever(collection="papers", filter=["type=pdf"])
    retriever = TwoTowerRetriever(retriever=application.retriever(collection))

An embedded collection belongs to one process at a time: this one holds it from the first question
until `TwoTowerRetriever.close`.
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

from app.settings import load_settings
from app.wiring import Application
from retrieval.context import build_context
from retrieval.encoder import Encoder
from retrieval.filters import Filter, parse_filters
from retrieval.options import Fusion, Rerank, SearchOptions
from retrieval.retriever import Retriever
from retrieval.types import Chunk, Hit, Mode, Provenance

_TOOL_NAME = "search_documents"
_TOOL_DESCRIPTION = (
    "Search the user's own documents. Ask in plain words, or with the exact words that have to be "
    "there in double quotes. Each passage comes with its source and page: cite them."
)
_SHOWN = PromptTemplate.from_template("[{citation}]\n{page_content}")
_NAMESPACE = UUID("5f0dbd7e-3a8f-5a55-8a86-3f6c9f6f4a10")


class TwoTowerRetriever(BaseRetriever):
    """Retrieves passages of one collection, by both towers and BM25.

    Every option may be given with a call as well: ``retriever.invoke("...", k=3)``. What is not
    given is as the settings, or what `twotower tune` found for the collection, have it.

    Attributes
    ----------
    collection
        Its name; ``None`` takes the one in the settings.
    settings
        Settings by their names, such as ``{"data_dir": "..."}``; they win over the environment.
    retriever
        A ready one, in place of the two above.
    k
        The most passages.
    filter
        Expressions such as ``"type=pdf"``, all of which have to hold, or a `Filter`.
    per_document
        The most passages of one document; 0: no such limit.
    expand
        How many chunks before and after each passage are joined to its text.
    """

    collection: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    retriever: Retriever | None = Field(default=None, exclude=True)
    k: int | None = None
    mode: Mode | None = None
    fusion: Fusion | None = None
    rerank: Rerank | None = None
    filter: str | list[str] | Filter | None = None
    per_document: int | None = None
    expand: int | None = None

    model_config = ConfigDict(arbitrary_types_allowed=True)

    _lock: Any = PrivateAttr(default_factory=threading.RLock)
    _opened: Any = PrivateAttr(default=None)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether LangChain may write it down: all but a ready retriever."""
        return True

    def close(self) -> None:
        """Let go of the collection; the next question opens it again."""
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
        """Make a tool for an agent, which shows source and page of each passage.

        Parameters
        ----------
        name, description
            What the language model is told of it.
        """
        if args_schema is not None or arg_types is not None:
            return super().as_tool(
                args_schema, name=name, description=description, arg_types=arg_types
            )
        return create_retriever_tool(
            self, name or _TOOL_NAME, description or _TOOL_DESCRIPTION, document_prompt=_SHOWN
        )

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        """Tell tracing what this is."""
        params = super()._get_ls_params(**kwargs)
        params["ls_retriever_name"] = "twotower"
        params["ls_vector_store_provider"] = "qdrant"
        params["ls_embedding_provider"] = "sentence-transformers"
        with suppress(Exception):  # a name for a trace is not worth an error
            params["ls_embedding_model"] = load_settings(None, **self.settings).encoder
        return params

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        del run_manager  # LangChain reports start, end and error
        known = {"k", "mode", "fusion", "rerank", "filter", "per_document", "expand"}
        if unknown := options.keys() - known:
            raise TypeError(f"unknown options {sorted(unknown)}; known are {sorted(known)}")
        with self._lock:  # one question at a time: the encoder and the engine take no two
            retriever = self.retriever or self._open()
            hits = retriever.retrieve(query, self._options(retriever, options))
        return [document_of(hit) for hit in hits]

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
        found: Retriever = self._opened[0]
        return found

    def _options(self, retriever: Retriever, asked: dict[str, Any]) -> SearchOptions:
        names = ("mode", "fusion", "rerank", "per_document", "expand")
        chosen: dict[str, Any] = {"limit": asked.get("k") or self.k}
        chosen |= {name: asked.get(name, getattr(self, name)) for name in names}
        where = asked.get("filter", self.filter)
        if isinstance(where, str):
            where = [where]
        if where is not None:
            chosen["where"] = (
                where
                if isinstance(where, Filter)
                else parse_filters(where, retriever.metadata_keys())
            )
        given = {name: value for name, value in chosen.items() if value is not None}
        return replace(retriever.options, **given)


def document_of(hit: Hit) -> Document:
    """Turn a hit into a document; neighbours that came with it are joined to its text."""
    (passage,) = build_context([hit], 2**31, len).passages
    origin = hit.chunk.provenance
    return Document(
        id=str(hit.chunk.id),
        page_content=passage.text,
        metadata={
            **hit.chunk.metadata,
            "source": origin.source,
            "title": origin.title,
            "page": passage.page,
            "headings": list(origin.headings),
            "citation": passage.citation,
            "score": hit.score,
            "legs": {name: leg._asdict() if leg else None for name, leg in hit.legs.items()},
            "answerable": hit.judgement.answerable,
        },
    )


class TwoTowerEmbeddings(BaseModel, Embeddings):
    """The encoder: questions by one tower, documents by the other, each with its prompt.

    Attributes
    ----------
    encoder
        A packaged model, a folder, or a hub's name; ``None`` takes the one in the settings.
    settings
        Settings by their names; they win over the environment.
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
    """A reranker: documents in the order of a second, slower look, the first ``top_n`` of them.

    Attributes
    ----------
    kind
        ``late-interaction``, or ``cross-encoder`` (the setting ``cross_encoder`` names it).
    settings
        Settings by their names; they win over the environment.
    """

    kind: Rerank = "late-interaction"
    top_n: int = Field(default=4, ge=1)
    settings: dict[str, Any] = Field(default_factory=dict)

    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _loaded: Any = PrivateAttr(default=None)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Order documents; each gets its score as ``rerank_score``."""
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
