"""Fuzz the reader of weight files: change bytes of sound files until the time is over.

    python tests/core/weights/fuzz_reader.py [seconds] [seed]

Each changed file is opened and read whole. It must be refused with a reason that names it, or give
the very tensors that were written; anything else ends the run and keeps the file.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

import torch

from aios_core.contracts import QuantizedTensor
from aios_core.errors import ModelLoadError
from aios_core.weights import WeightLoader
from aios_core.weights.writer import WeightWriter
from aios_plugins.quantizers.arrow import Arrow
from aios_plugins.quantizers.rtn import Rtn

Tensors = dict[str, torch.Tensor | QuantizedTensor]
FOOTER = 3000
"""Bytes before the end in which most changes are made: the index is where sizes stand."""


def models() -> list[Tensors]:
    """Plain, quantized and empty tensors, one of many chunks, and none at all."""
    weight = torch.randn(17, 64, generator=torch.Generator().manual_seed(0))
    packed = {f"int{b}": Arrow(bits=b).quantize(weight) for b in (2, 3, 4, 8)}
    plain = {"a": weight, "b.half": weight.half(), "ids": torch.arange(5), "none": weight[:, :0]}
    return [plain, packed | {"rtn": Rtn(bits=3).quantize(weight)}, {}]


def bytes_of(tensor: torch.Tensor | QuantizedTensor) -> bytes:
    """All that a tensor holds."""
    if isinstance(tensor, QuantizedTensor):
        return bytes_of(tensor.codes) + bytes_of(tensor.params) + repr(tensor.shape).encode()
    return tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def change(data: bytes, chance: random.Random) -> bytes:
    """Some bytes flipped, set, cut out, repeated or cut off."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        first = max(0, len(data) - FOOTER) if chance.random() < 0.8 else 0
        at = chance.randrange(first, max(len(data), first + 1))
        size = chance.choice((0, 1, 1, 2, 4, 8, 64))
        piece = data[at : at + size]
        new = chance.choice(
            (
                bytes(byte ^ 1 << chance.randrange(8) for byte in piece),
                chance.randbytes(size),
                b"",
                piece * 2,
                chance.choice((b"\xff", b"\x00", b"9", b'"', b"]")) * size,
            )
        )
        data = data[:at] + new + (b"" if chance.random() < 0.02 else data[at + size :])
    return data


def main(seconds: float = 30, seed: int = 0) -> None:
    """Run until the time is over."""
    chance, tried, refused = random.Random(seed), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        corpus = []
        for number, tensors in enumerate(models()):
            path = Path(folder, f"{number}.parquet")
            with WeightWriter(path, {"model": "fuzzed"}) as file:
                for name, tensor in tensors.items():
                    file.add(name, tensor)
            whole = {name: bytes_of(tensor) for name, tensor in tensors.items()}
            corpus.append((path.read_bytes(), whole))
        path, end = Path(folder, "changed.parquet"), time.monotonic() + seconds
        while time.monotonic() < end:
            data, whole = chance.choice(corpus)
            path.write_bytes(changed := change(data, chance))
            tried += 1
            try:
                found = {name: bytes_of(one) for name, one in WeightLoader.open(path).items()}
            except ModelLoadError as error:
                refused += 1
                sound = str(path) in str(error)
            except Exception as error:  # noqa: BLE001  # anything else is what is looked for
                sound = False
                sys.stderr.write(f"{error!r}\n")
            else:
                sound = whole == found
            if not sound:
                kept = Path(f"fuzzed-{seed}-{tried}.parquet")
                kept.write_bytes(changed)
                sys.exit(f"file {tried} of seed {seed} was neither refused nor right: {kept}")
    sys.stdout.write(f"{tried} changed files, {refused} refused, the others as written\n")


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((float, int), sys.argv[1:], strict=False)))
