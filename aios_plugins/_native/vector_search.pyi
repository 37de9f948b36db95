# Types of what native/bindings makes of native/vector_search.

from os import PathLike
from typing import Any, Final, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Hnsw", "Int8Codes", "VectorSearchError", "level", "top_k"]

# Of all that this module is compiled from: SHA-256 in hexadecimal, the same on every machine.
__source_digest__: Final[str]

_Metric: TypeAlias = Literal["cosine", "inner_product", "l2"]

# (N, D) C-contiguous: float32, float16 or int8; uint16 holds bfloat16; uint8 holds D / 8 bytes of
# signs a row, least significant bit first. Arrays are borrowed: nothing may write to them while a
# call lasts.
_Vectors: TypeAlias = NDArray[Any]

# Distances (B, k) and rows (B, k), nearest first, equal distances by row; smaller is nearer
# (1 - cos, -dot, squared L2). Where fewer rows match, inf and -1 fill up. A distance of a finite
# row that float32 does not hold is an error where it would be among them.
_Found: TypeAlias = tuple[NDArray[np.float32], NDArray[np.int64]]

class VectorSearchError(ValueError): ...

# The instruction set in use: "portable", "avx2" or "avx512".
def level() -> str: ...

# Exact search; queries are (D,) or (B, D), `filter` is (N,), true where a row may be returned.
def top_k(
    vectors: _Vectors,
    queries: NDArray[np.float32],
    k: int,
    *,
    metric: _Metric = "cosine",
    filter: NDArray[np.bool_] | None = None,
) -> _Found: ...

@final
class Int8Codes:
    def __new__(cls, vectors: _Vectors, *, metric: _Metric = "cosine") -> Int8Codes: ...
    def __len__(self) -> int: ...
    # A scan of the codes, and exact distances of the best `candidates`; 2 * k + 20 without it.
    def search(
        self,
        vectors: _Vectors,
        queries: NDArray[np.float32],
        k: int,
        *,
        candidates: int | None = None,
        filter: NDArray[np.bool_] | None = None,
    ) -> _Found: ...

@final
class Hnsw:
    def __new__(
        cls, dim: int, *, metric: _Metric = "cosine", degree: int = 16, build_width: int = 100
    ) -> Hnsw: ...
    @staticmethod
    def load(path: str | PathLike[str]) -> Hnsw: ...
    def save(self, path: str | PathLike[str]) -> None: ...
    def __len__(self) -> int: ...
    def insert(self, vectors: _Vectors, rows: NDArray[np.uint32]) -> None: ...
    def remove(self, rows: NDArray[np.uint32]) -> int: ...
    def search(
        self,
        vectors: _Vectors,
        queries: NDArray[np.float32],
        k: int,
        *,
        width: int = 64,
        filter: NDArray[np.bool_] | None = None,
    ) -> _Found: ...
