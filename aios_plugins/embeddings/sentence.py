"""Models of the sentence-transformers library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen, validators

from aios_core.contracts import EmbeddingProvider, Side
from aios_core.errors import InferenceError, MissingExtraError
from aios_core.files import manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@frozen
class SentenceTransformers(EmbeddingProvider):
    """A model in a folder of this machine (extra ``sentence-transformers``).

    Nothing is fetched, and only safetensors are read. What is longer than the model's context is
    cut off, as that library does.
    """

    model: Path
    """Its folder, with ``modules.json`` or ``config.json``."""
    device: str = "cpu"
    """A torch device."""
    batch_size: int = field(default=32, validator=[validators.ge(1), validators.le(65_536)])
    """Texts that are read at once."""
    query_prompt: str | None = None  # type: ignore[assignment]
    """Put before a text to find with; unset: what the model says."""
    document_prompt: str | None = None  # type: ignore[assignment]
    """Put before a text that shall be found; unset: what the model says."""

    @property
    def dim(self) -> int:
        """That of the model."""
        return int(_load(self.model, self.device).get_embedding_dimension())

    @property
    def fingerprint(self) -> str:
        """Of all files of the model, and the prompts."""
        prompts = [self.prompt("query"), self.prompt("document")]
        return hashlib.sha256(json.dumps([_digest(self.model), prompts]).encode()).hexdigest()

    def prompt(self, side: Side) -> str:
        """Our setting, or the model's."""
        own = self.query_prompt if side == "query" else self.document_prompt
        if own is not None:
            return own
        prompts = _load(self.model, self.device).prompts or {}
        names = ["query"] if side == "query" else ["document", "passage"]
        return next((prompts[name] for name in names if prompts.get(name)), "")

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D), prompts being there already."""
        model = _load(self.model, self.device)
        vectors: NDArray[np.float32] = model.encode(
            list(texts),
            prompt="",
            batch_size=self.batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return vectors


@lru_cache(maxsize=2)
def _load(folder: Path, device: str) -> Any:
    if not (folder / "modules.json").is_file() and not (folder / "config.json").is_file():
        raise InferenceError(f"{folder} holds no model; expected a folder with modules.json")
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtraError(
            "embedding.type = 'sentence-transformers'",
            "sentence-transformers",
            "sentence_transformers",
        ) from error
    try:
        return SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InferenceError(f"{folder}: cannot be loaded: {error}") from error


@lru_cache(maxsize=8)
def _digest(folder: Path) -> str:
    return hashlib.sha256(json.dumps(manifest(folder), sort_keys=True).encode()).hexdigest()
