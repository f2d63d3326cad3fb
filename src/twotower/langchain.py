"""LangChain integration: a collection as a retriever, its encoder as embeddings, a compressor."""

from twotower.app.langchain import (
    TwoTowerDocumentCompressor,
    TwoTowerEmbeddings,
    TwoTowerRetriever,
)

__all__ = ["TwoTowerDocumentCompressor", "TwoTowerEmbeddings", "TwoTowerRetriever"]
