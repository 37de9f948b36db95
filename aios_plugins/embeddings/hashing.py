"""Vectors without a model."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import log1p
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from attrs import field, frozen, validators

from aios_core.contracts import EmbeddingProvider

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORD = re.compile(r"\w+")


@frozen
class Hashing(EmbeddingProvider):
    """Words and their parts, hashed into a vector: texts are near that share words.

    Needs no model, knows no meaning, and gives the same vector on every machine. Each word and each
    run of three letters in it is hashed to a place and a sign (feature hashing, Weinberger et al.,
    arXiv 0902.2206); a word counts log(1 + n) for n times.
    """

    cached: ClassVar[bool] = False
    dim: int = field(default=384, validator=[validators.ge(8), validators.le(65_536)])
    """D, numbers in a vector; with more, fewer words share a place."""

    @property
    def fingerprint(self) -> str:
        """The width, and the version of what is hashed."""
        return f"hashing-1-{self.dim}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """(N, D); a text without words has the vector of no words."""
        vectors = np.zeros((len(texts), self.dim))
        for vector, text in zip(vectors, texts, strict=True):
            counts = Counter(_WORD.findall(text.casefold())) or {"": 1}
            for word, count in counts.items():
                places, weights = _features(word, self.dim)
                np.add.at(vector, places, weights * log1p(count))
            if not vector.any():  # all features cancelled out
                vector[:] = 0
                vector[_place("", self.dim)[0]] = 1
        return vectors


@lru_cache(maxsize=1 << 16)
def _features(word: str, dim: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Places and signed weights of a word and its parts; together the parts weigh as much as it."""
    edged = f"<{word}>"
    parts = [edged[i : i + 3] for i in range(len(edged) - 2)] if word else []
    places = [_place(word, dim), *(_place(f"3{part}", dim) for part in parts)]
    weights = np.array([1.0, *[max(len(parts), 1) ** -0.5] * len(parts)])
    return np.array([place for place, _ in places]), weights * [sign for _, sign in places]


def _place(feature: str, dim: int) -> tuple[int, int]:
    number = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "little")
    return (number >> 1) % dim, 1 if number & 1 else -1
