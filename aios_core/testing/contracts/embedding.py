"""What every embedding provider must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from aios_core.errors import InferenceError
from aios_core.testing import strategies
from aios_core.testing.contracts.base import Contract

if TYPE_CHECKING:
    from aios_core.contracts import EmbeddingProvider

_TEXTS = ["the cat sat on the mat", "a dog", "", "香蕉 и naïve 🙂", "cat " * 500]


class EmbeddingContract(Contract["EmbeddingProvider"]):
    """Subclass it and set ``component``: a provider's class, or one that is built."""

    varied: ClassVar = {
        "test_vectors_have_length_1": {},
        "test_vectors_do_not_depend_on_neighbours": {},
    }

    examples: ClassVar[int] = 5
    """Of each property."""

    @classmethod
    def try_out(cls, plugin: EmbeddingProvider) -> None:
        """Some need a library."""
        plugin.embed(["x"])

    def test_vectors_have_length_1(self, instance: EmbeddingProvider) -> None:
        """(N, D) float32, for texts of any length, in any script, and for none."""
        vectors = instance.embed(_TEXTS)
        assert (len(_TEXTS), instance.dim) == vectors.shape
        assert np.float32 == vectors.dtype
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(_TEXTS)), abs=1e-5)
        assert (0, instance.dim) == instance.embed([]).shape

    def test_vectors_do_not_depend_on_neighbours(self, instance: EmbeddingProvider) -> None:
        """Alone, among others, in another order, and again."""
        together, again = instance.embed(_TEXTS), instance.embed(_TEXTS)
        assert (together == again).all()
        alone = np.concatenate([instance.embed([text]) for text in _TEXTS])
        assert alone == pytest.approx(together, abs=1e-4)
        assert instance.embed(_TEXTS[::-1]) == pytest.approx(together[::-1], abs=1e-4)

    def test_texts_are_told_apart(self, instance: EmbeddingProvider) -> None:
        """Other texts, other vectors; and a text is nearest to itself."""
        vectors = instance.embed(_TEXTS).astype(np.float64)
        similar = vectors @ vectors.T
        assert (similar.argmax(axis=1) == np.arange(len(_TEXTS))).all()

    def test_prompts_stand_before_texts(self, instance: EmbeddingProvider) -> None:
        """Those of queries before queries."""
        text = instance.prompt("document") + "a dog"
        plain = instance.embed(["a dog"], side="document")
        raw = np.asarray(instance.encode([text]), np.float64)
        assert raw / np.linalg.norm(raw) == pytest.approx(plain, abs=1e-5)
        same = instance.prompt("query") == instance.prompt("document")
        query = instance.embed(["a dog"], side="query")
        assert same == bool(np.allclose(query, plain, atol=1e-5))

    def test_any_text_has_a_vector(self, instance: EmbeddingProvider) -> None:
        """Whatever it holds."""

        @settings(
            deadline=None,
            max_examples=self.examples,
            suppress_health_check=[HealthCheck.differing_executors],
        )
        @given(text=strategies.texts())
        def check(text: str) -> None:
            (vector,) = instance.embed([text])
            assert abs(float(vector @ vector) - 1) < 1e-4

        check()

    def test_what_is_no_text_is_an_error(self, instance: EmbeddingProvider) -> None:
        """Half a surrogate pair, and a text where several are wanted."""
        with pytest.raises(InferenceError, match="text 1 holds half of a surrogate pair"):
            instance.embed(["a", "b\ud800"])
        with pytest.raises(InferenceError, match="expected"):
            instance.embed("a")

    def test_the_fingerprint_is_stable(self, instance: EmbeddingProvider) -> None:
        """It names the cache, and stands in the stores that were filled."""
        assert isinstance(instance.fingerprint, str)
        assert instance.fingerprint == instance.fingerprint != ""
