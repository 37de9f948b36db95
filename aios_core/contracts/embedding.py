"""Embedding providers: texts to vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from aios_core.errors import InferenceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Side: TypeAlias = Literal["document", "query"]
"""What a text is for: to be found, or to find with."""


class EmbeddingProvider(ABC):
    """Gives each text a vector, such that texts that mean much the same are near."""

    cached: ClassVar[bool] = True
    """Whether looking a vector up is faster than making it again."""
    document_prompt: str = ""
    """Put before a text that shall be found; models that were trained with one need it."""
    query_prompt: str = ""
    """Put before a text to find with."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """D, numbers in a vector."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of all that decides vectors: equal fingerprints give equal vectors."""

    def prompt(self, side: Side) -> str:
        """What is put before a text."""
        return self.query_prompt if side == "query" else self.document_prompt

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> NDArray[Any]:
        """Vectors of at least one text, prompts and all; (N, D) of any floating type and length.

        The vector of a text does not depend on the others.
        """

    def embed(self, texts: Sequence[str], *, side: Side = "document") -> NDArray[np.float32]:
        """Vectors of texts.

        Args:
            texts: N texts.
            side: which prompt stands before each.

        Returns:
            (N, D) float32, each of Euclidean length 1.

        Raises:
            InferenceError: a text cannot be embedded.
        """
        import numpy as np

        if isinstance(texts, str):
            raise InferenceError("embed takes several texts; expected [text]")
        if not texts:
            return np.empty((0, self.dim), np.float32)
        for row, text in enumerate(texts):
            if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
                raise InferenceError(
                    f"text {row} holds half of a surrogate pair, which is not text"
                )
        prompt = self.prompt(side)
        raw = np.asarray(self.encode([prompt + text for text in texts]), dtype=np.float64)
        if raw.shape != (len(texts), self.dim):
            expected = (len(texts), self.dim)
            raise InferenceError(
                f"{type(self).__name__} gave shape {raw.shape}; expected {expected}"
            )
        length = np.linalg.norm(raw, axis=1, keepdims=True)
        if not (np.isfinite(length) & (length > 0)).all():
            row = int(np.argmin((np.isfinite(length) & (length > 0))[:, 0]))
            raise InferenceError(
                f"{type(self).__name__} gave text {row} a vector of length {length[row, 0]}, "
                "which has no direction"
            )
        unit: NDArray[np.float32] = (raw / length).astype(np.float32)
        return unit
