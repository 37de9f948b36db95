"""Stores of memories as vector stores of LangChain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from aios_core.config.resolve import section
from aios_core.contracts import VectorStore as Store
from aios_core.contracts import store_schema
from aios_core.errors import StorageError
from aios_core.memory import Embedder, Place, open_store

_TYPES = {str: "string", bool: "bool", int: "int64", float: "float64"}


class AiosEmbeddings(Embeddings):
    """An embedding provider of ours as one of LangChain.

    Args:
        embedder: makes the vectors, and keeps them in its cache.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    @classmethod
    def of(cls, *overrides: str) -> AiosEmbeddings:
        """The provider that ``[embedding]`` names: ``"embedding.dim=64"`` and so on."""
        provider, _ = section("embedding", overrides=overrides)
        return cls(Embedder(provider))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector a text."""
        return self.embedder.embed(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        """The vector of what is searched for."""
        return self.embedder.embed([text], side="query")[0].tolist()


class AiosVectorStore(VectorStore):
    """A store whose rows are documents: id, text, and the other columns as metadata.

    Args:
        store: with texts, whose ids are texts; it is closed by whoever opened it.
        embedding: that made its vectors.
    """

    def __init__(self, store: Store, embedding: Embeddings) -> None:
        schema = store.schema
        if "text" not in schema.names or str(schema.field("id").type) != "string":
            raise StorageError(f"{store.uri}: expected a store of texts, whose ids are texts")
        self.store, self._embedding = store, embedding

    @property
    def embeddings(self) -> Embeddings:
        """What makes the vectors."""
        return self._embedding

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        place: str,
        **kwargs: Any,
    ) -> AiosVectorStore:
        """Fill a store, which is made where there is none.

        Args:
            texts: of the documents.
            embedding: makes their vectors.
            metadatas: of each document; a new store has their columns.
            ids: of each document; unset: random ones.
            place: of the store, as in ``"lancedb:runs/notes"``.
            **kwargs: none are known.

        Raises:
            StorageError: metadata of one name have several types, or do not fit.
        """
        if kwargs:
            raise TypeError(f"expected no other arguments, got {', '.join(kwargs)}")
        schema = store_schema(len(embedding.embed_query("width")), _columns(metadatas or []))
        self = cls(open_store(Place.of(place), schema=schema), embedding)
        self.add_texts(texts, metadatas, ids=ids)
        return self

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add documents, in the place of those that have the same ids; returns the ids."""
        if kwargs:
            raise TypeError(f"expected no other arguments, got {', '.join(kwargs)}")
        texts = list(texts)
        if not texts:
            return []
        keys = [key or str(uuid4()) for key in ids or [None] * len(texts)]
        vectors = self._embedding.embed_documents(texts)
        taken = {"id", "text", "vector"}
        rows = []
        for key, text, vector, more in zip(
            keys, texts, vectors, metadatas or [{}] * len(texts), strict=True
        ):
            if wrong := taken & more.keys():
                raise StorageError(f"id {key!r}: metadata cannot be named {min(wrong)!r}")
            rows.append({**more, "id": key, "text": text, "vector": vector})
        self.store.upsert(rows)
        return keys

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents, or, without ids, those that a ``filter`` chooses."""
        self.store.delete(ids, **kwargs)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Documents in the order of the ids, without those that are not there."""
        return [_document(row)[0] for row in self.store.get(ids, columns=self._shown()).to_pylist()]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The nearest documents; other arguments are those of a search of the store."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """With their scores: the higher, the nearer."""
        return self._near(self._embedding.embed_query(query), k, **kwargs)

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """The nearest to a vector."""
        return [document for document, _ in self._near(embedding, k, **kwargs)]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Near documents that differ from each other."""
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, **kwargs
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Likewise, by a vector (Carbonell and Goldstein, SIGIR 1998, as LangChain has it)."""
        columns = [*self._shown(), "vector"]
        rows = self.store.search(embedding, fetch_k, columns=columns, **kwargs).to_pylist()
        vectors = [row.pop("vector") for row in rows]
        chosen = maximal_marginal_relevance(np.array(embedding), vectors, lambda_mult, k)
        return [_document(rows[at])[0] for at in chosen]

    def _near(self, vector: list[float], k: int, **kwargs: Any) -> list[tuple[Document, float]]:
        rows = self.store.search(vector, k, columns=self._shown(), **kwargs)
        return [_document(row) for row in rows.to_pylist()]

    def _shown(self) -> list[str]:
        return [name for name in self.store.schema.names if name != "vector"]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """Scores as LangChain has them, from 0 to 1."""
        if self.store.metric == "dot":
            raise StorageError("the metric 'dot' has no relevance from 0 to 1; expected another")
        if self.store.metric == "cosine":
            return lambda score: min(1.0, max(0.0, (1 + score) / 2))  # whatever was rounded
        return float


def _columns(metadatas: list[dict[str, Any]]) -> dict[str, str]:
    """The type of each column that metadata need."""
    types: dict[str, str] = {}
    for at, metadata in enumerate(metadatas):
        for name, value in metadata.items():
            if value is None:
                continue
            if type(value) not in _TYPES:
                kind = type(value).__name__
                raise StorageError(
                    f"document {at}: {name!r}: expected a text, number or truth value, got {kind}"
                )
            its = _TYPES[type(value)]
            if types.setdefault(name, its) != its:
                raise StorageError(
                    f"document {at}: {name!r}: expected {types[name]}, as before, got {its}"
                )
    return types


def _document(row: dict[str, Any]) -> tuple[Document, float]:
    """A document, without what is missing in its row, and its score, if it has one."""
    score = row.pop("_score", 0.0)
    key, text = row.pop("id"), row.pop("text")
    metadata = {name: value for name, value in row.items() if value is not None}
    return Document(id=key, page_content=text or "", metadata=metadata), score
