# Types of what native/bindings makes of native/arrow_quant.
#
# A weight is (rows, columns), as in y = x W^T. bfloat16 comes as its bits in uint16, since numpy
# has no such type. `group_size` is 16, 32, 64, 128 or -1, a whole row. `param_format` says how each
# group's scale and minimum are kept: "f16" each; or, asymmetric only, as integers under float16s:
# "u6", 6 bits each under two float16s a row, and "u4", 4 bits each under two for every 256 columns.
# With "+e8" behind it each row has an exponent of 8 bits too: `quantize` adds it where a row is so
# small, or so large, that float16s alone would lose it.
# `threads` is how many work together; 0 is one for each core.

from collections.abc import Sequence
from typing import Any, Final, Literal, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

__all__ = ["LAYOUT", "ArrowQuantError", "QuantizedMatrix", "instruction_sets", "plan"]

# Of all that this module is compiled from: SHA-256 in hexadecimal, the same on every machine.
__source_digest__: Final[str]

LAYOUT: Final[str]
"""Name of the order of codes and parameters, which weight files record."""

class ArrowQuantError(ValueError): ...

@final
class QuantizedMatrix:
    # "fast" rounds to nearest, "search" minimises each group's squared error, weighed by
    # `importance` (columns,), "calibrated" the outputs' under `hessian` (columns, columns), the
    # second moment X^T X of the inputs at any scale.
    @staticmethod
    def quantize(
        weight: NDArray[np.float32] | NDArray[np.float16] | NDArray[np.uint16],
        *,
        bits: Literal[2, 3, 4, 8] = 4,
        group_size: int = 64,
        symmetric: bool = False,
        param_format: Literal["f16", "u6", "u4"] = "f16",
        quality: Literal["fast", "search", "calibrated"] = "search",
        importance: NDArray[np.float32] | None = None,
        hessian: NDArray[np.float64] | None = None,
        threads: int = 0,
    ) -> QuantizedMatrix: ...
    # Borrows both buffers, at any alignment, for as long as it lives; lengths are checked. What
    # they hold must not change meanwhile.
    @staticmethod
    def from_buffers(
        codes: Buffer | NDArray[Any],
        params: Buffer | NDArray[Any],
        *,
        shape: tuple[int, int],
        bits: int,
        group_size: int,
        symmetric: bool,
        param_format: str,
    ) -> QuantizedMatrix: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def bits(self) -> Literal[2, 3, 4, 8]: ...
    @property
    def group_size(self) -> int: ...
    @property
    def symmetric(self) -> bool: ...
    @property
    def param_format(self) -> Literal["f16", "u6", "u4", "f16+e8", "u6+e8", "u4+e8"]: ...
    # Read-only views of the packed bytes, which keep the matrix alive.
    @property
    def codes(self) -> NDArray[np.uint8]: ...
    @property
    def params(self) -> NDArray[np.uint8]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def bits_per_weight(self) -> float: ...
    def dequantize(self, *, threads: int = 0) -> NDArray[np.float32]: ...
    # Squared error over the weight's squared norm, each column weighed by its importance.
    def relative_error(
        self,
        weight: NDArray[np.float32] | NDArray[np.float16] | NDArray[np.uint16],
        *,
        importance: NDArray[np.float32] | None = None,
        threads: int = 0,
    ) -> float: ...
    # (batch, columns) -> (batch, rows). "int8" rounds each row of x to 8 bits, "float32" does not.
    # Writes into `out` where given, and returns it. `instructions` is one of `instruction_sets()`,
    # the fastest by default.
    def linear(
        self,
        x: NDArray[np.float32],
        *,
        activations: Literal["int8", "float32"] = "int8",
        out: NDArray[np.float32] | None = None,
        threads: int = 0,
        instructions: str | None = None,
    ) -> NDArray[np.float32]: ...

# For each tensor the choice (an index into its row of `bits` and `damage`) that together do the
# least damage within `budget` bits a weight.
def plan(
    weights: Sequence[int],
    bits: Sequence[Sequence[float]],
    damage: Sequence[Sequence[float]],
    *,
    budget: float,
) -> list[int]: ...

# Those of this machine, the fastest last: "portable", "avx2", "avxvnni", "avx512" or "neon".
def instruction_sets() -> list[str]: ...
