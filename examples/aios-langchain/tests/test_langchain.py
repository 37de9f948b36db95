"""The vector store as LangChain uses it: by its own retrievers and documents."""

import pytest
from aios_langchain import AiosEmbeddings, AiosVectorStore
from langchain_core.documents import Document

from aios_core.errors import StorageError

TEXTS = ["the gate decides by loss", "a cat sat on the mat", "a cat sat on the old mat"]
METADATA = [{"year": 2024}, {"year": 2020, "lang": "en"}, {"year": 2021}]


@pytest.fixture(params=["arrow", "numpy", "lancedb", "qdrant"])
def notes(request, tmp_path):
    pytest.importorskip(
        {"lancedb": "lancedb", "qdrant": "qdrant_client"}.get(request.param, "numpy")
    )
    made = AiosVectorStore.from_texts(
        TEXTS,
        AiosEmbeddings.of("embedding.dim=256"),
        METADATA,
        ids=["gate", "cat", "old"],
        place=f"{request.param}:{tmp_path / 'store'}",
    )
    with made.store:
        yield made


def test_documents_are_retrieved(notes):
    best = notes.similarity_search("what does the gate decide", k=1)
    assert [Document(id="gate", page_content=TEXTS[0], metadata={"year": 2024})] == best
    late = notes.as_retriever(search_kwargs={"k": 3, "filter": "year < 2022"}).invoke("cat")
    assert ["cat", "old"] == sorted(document.id for document in late)
    (document, score), *_ = notes.similarity_search_with_score(TEXTS[1], k=2)
    assert ("cat", pytest.approx(1, abs=1e-5)) == (document.id, score)
    relevant = notes.similarity_search_with_relevance_scores(TEXTS[1], k=3)
    assert all(0 <= score <= 1 for _, score in relevant)


def test_mmr_takes_what_differs(notes):
    query = "a cat sat on the mat"
    near = notes.similarity_search(query, k=2)
    assert ["cat", "old"] == [document.id for document in near]
    mixed = notes.as_retriever(search_type="mmr", search_kwargs={"k": 2, "lambda_mult": 0.1})
    assert ["cat", "gate"] == [document.id for document in mixed.invoke(query)]


def test_documents_come_and_go(notes):
    (key,) = notes.add_documents([Document(page_content="new", metadata={"lang": "de"})])
    assert [{"lang": "de"}] == [document.metadata for document in notes.get_by_ids([key])]
    assert ["gate"] == notes.add_texts(["another gate"], ids=["gate"])
    assert ["another gate"] == [d.page_content for d in notes.get_by_ids(["gate", "nobody"])]
    assert notes.delete([key, "cat"])
    assert {"gate", "old"} == set(notes.store.select()["id"].to_pylist())
    assert [] == notes.add_texts([])


def test_what_does_not_fit_is_refused(notes, tmp_path):
    with pytest.raises(StorageError, match="did you mean 'year'"):
        notes.add_texts(["x"], [{"yaer": 1}])
    with pytest.raises(StorageError, match="cannot be named 'vector'"):
        notes.add_texts(["x"], [{"vector": [1]}])
    assert 3 == notes.store.count()
    with pytest.raises(StorageError, match="document 1: 'n': expected int64, as before"):
        AiosVectorStore.from_texts(
            ["a", "b"], notes.embeddings, [{"n": 1}, {"n": "x"}], place=str(tmp_path / "other")
        )
