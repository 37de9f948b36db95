"""What the files in `corpus` hold: they were written once and stay, for every version reads them.

    python tests/plugins/tensor_formats/parquet/kept.py

writes those that are not there yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from aios_plugins.quantizers.arrow import Arrow
from aios_plugins.quantizers.rtn import Rtn
from aios_plugins.tensor_formats.parquet.layout import DTYPES
from aios_plugins.tensor_formats.parquet.writer import WeightWriter

if TYPE_CHECKING:
    from aios_core.contracts import QuantizedTensor

CORPUS = Path(__file__).with_name("corpus")
CARD = {"model": "kept"}
WEIGHT = (torch.arange(17 * 64) * 7 % 101 - 50).reshape(17, 64) / 32

POWERS = -5 * torch.arange(17)[:, None]
"""Of the sizes of rows, most of which are then kept under exponents."""


def models() -> dict[str, dict[str, torch.Tensor | QuantizedTensor]]:
    """By the name of the file: tensors of every type, packed, in chunks, of two names, and none."""
    quantizers = {
        **{f"int{bits}": Arrow(bits=bits) for bits in (2, 3, 4, 8)},
        "u4": Arrow(bits=2, group_size=16, param_format="u4"),
        **{f"rows{bits}": Rtn(bits=bits, symmetric=bits > 4) for bits in (1, 3, 5)},
    }
    plain = {name: (WEIGHT[:3, :5] * 8).to(getattr(torch, name)) for name in DTYPES}
    return {
        "plain": plain | {"none": WEIGHT[:, :0], "scalar": torch.tensor(7)},
        "packed": {name: quantizer.quantize(WEIGHT) for name, quantizer in quantizers.items()},
        "sizes": {
            name: quantizer.quantize(torch.ldexp(WEIGHT, POWERS))
            for name, quantizer in quantizers.items()
        },
        "chunks": {"a": WEIGHT, "b": WEIGHT.T},
        "tied": {"a": WEIGHT, "b": WEIGHT.T, "c": WEIGHT},
        "empty": {},
    }


def main() -> None:
    """Write those that are missing."""
    for name, tensors in models().items():
        path = CORPUS / f"{name}.parquet"
        if path.exists():
            continue
        with WeightWriter(path, CARD, max_chunk=1024 if name == "chunks" else 1 << 30) as file:
            for key, tensor in tensors.items():
                first = next(name for name, each in tensors.items() if each is tensor)
                if first == key:
                    file.add(key, tensor)
                else:
                    file.tie(key, first)


if __name__ == "__main__":
    main()
