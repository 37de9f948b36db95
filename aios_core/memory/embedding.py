"""Vectors of texts, made once for each content and kept in a cache."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aios_core.files import cache_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aios_core.contracts import EmbeddingProvider, Side

log = logging.getLogger(__name__)


class Embedder:
    """An embedding provider with a cache, one file for each of its fingerprints.

    Safe in several processes at once. A cache that cannot be read or written is logged and done
    without.

    Args:
        provider: makes the vectors.
        folder: of the cache; unset: that of `aios_core.files.cache_folder`.
    """

    def __init__(self, provider: EmbeddingProvider, folder: Path | None = None) -> None:
        self.provider = provider
        name = hashlib.sha256(provider.fingerprint.encode()).hexdigest()[:32]
        self._file = (folder or cache_folder() / "embeddings") / f"{name}.sqlite"

    def embed(self, texts: Sequence[str], *, side: Side = "document") -> NDArray[np.float32]:
        """As `EmbeddingProvider.embed`; a text that comes twice is embedded once."""
        if not self.provider.cached:
            return self.provider.embed(texts, side=side)
        keys = [hashlib.sha256(f"{side}\0{text}".encode()).digest() for text in texts]
        unique = dict(zip(keys, texts, strict=True))
        known = self._read(list(unique))
        if missing := {key: text for key, text in unique.items() if key not in known}:
            made = self.provider.embed(list(missing.values()), side=side)
            new = dict(zip(missing, made, strict=True))
            self._write(new)
            known |= new
        vectors = [known[key] for key in keys]
        return np.stack(vectors) if vectors else np.empty((0, self.provider.dim), np.float32)

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        vectors, size = {}, 4 * self.provider.dim
        with self._reported(), closing(self._database()) as database:
            for key in keys:
                row = database.execute(
                    "SELECT vector FROM vectors WHERE key = ?", (key,)
                ).fetchone()
                if row and isinstance(row[0], bytes) and len(row[0]) == size:
                    vector = np.frombuffer(row[0], "<f4").astype(np.float32)
                    if abs(float(vector @ vector) - 1) < 1e-3:  # untrusted, as every file is
                        vectors[key] = vector
        return vectors

    def _write(self, vectors: dict[bytes, NDArray[np.float32]]) -> None:
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        with self._reported(), closing(self._database()) as database, database:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    def _database(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._file, timeout=30)
        database.execute(
            "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID"
        )
        return database

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """What fails inside is logged and left: nothing depends on a cache."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            log.warning("vectors are not cached in %s: %s", self._file, error)
