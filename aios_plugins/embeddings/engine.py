"""Our own network as an embedding provider."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from attrs import field, frozen, validators

from aios_core.contracts import EmbeddingProvider

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.inference import ArrowEngine


@frozen
class Engine(EmbeddingProvider):
    """The states of a trained run, averaged over the tokens of a text.

    A text that is longer than the network's context is cut into windows, whose vectors are averaged
    by their tokens.
    """

    run: Path
    """The folder that ``aios run`` left."""
    mode: Literal["diffusion", "ar"] | None = None
    """Whose network; unset: the run's own."""
    batch_size: int = field(default=32, validator=[validators.ge(1), validators.le(65_536)])
    """Windows that are read at once."""
    query_prompt: str = ""
    """Put before a text to find with."""
    document_prompt: str = ""
    """Put before a text that shall be found."""

    @property
    def dim(self) -> int:
        """The width of the backbone."""
        return int(_load(self.run).encode([[_load(self.run).tokenizer.vocabulary.bos_id]]).shape[1])

    @property
    def fingerprint(self) -> str:
        """Of the checkpoint, whose state lists the checksums of its weights."""
        engine = _load(self.run)
        mode = self.mode or engine.mode
        state = (engine.models[mode].folder / "state.json").read_bytes()
        prompts = f"{mode}\0{self.query_prompt}\0{self.document_prompt}\0"
        return hashlib.sha256(prompts.encode() + state).hexdigest()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """(N, D); a text without tokens is read as the sign that begins every text."""
        engine = _load(self.run)
        size, bos = engine.context, engine.tokenizer.vocabulary.bos_id
        windows, owners = [], []
        for number, ids in enumerate(engine.tokenizer.encode_each(texts)):
            row = ids.tolist() or [bos]
            for start in range(0, len(row), size):
                windows.append(row[start : start + size])
                owners.append(number)
        parts = [
            engine.encode(windows[start : start + self.batch_size], mode=self.mode)
            for start in range(0, len(windows), self.batch_size)
        ]
        weights = np.array([len(window) for window in windows], np.float64)[:, None]
        vectors = np.zeros((len(texts), parts[0].shape[1]))
        np.add.at(vectors, owners, np.concatenate(parts) * weights)
        return vectors


@lru_cache(maxsize=2)
def _load(run: Path) -> ArrowEngine:
    from aios_core.inference import ArrowEngine

    return ArrowEngine.load(run)
