"""Fuzz the reader of weight files: change the kept files of `corpus` until the time is over.

    python tests/plugins/tensor_formats/parquet/fuzz_reader.py [seconds] [seed]

A file with changed bytes must be refused with a reason that names it, or give the very tensors that
were written. One whose index lies, under a digest that is right, must be refused too, or be read
and expanded in little memory. Anything else ends the run and keeps the file.
"""

from __future__ import annotations

import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import torch
from forging import Parts, change, lie

from aios_core.contracts import QuantizedTensor
from aios_core.errors import ModelLoadError, QuantizationError
from aios_core.quantization.operator import reader
from aios_plugins.tensor_formats.parquet.loader import WeightLoader

CORPUS = Path(__file__).with_name("corpus")
MEMORY = 1 << 30
"""Bytes that all the small files may take together, beyond what the process has at first."""


def bytes_of(tensor: torch.Tensor | QuantizedTensor) -> bytes:
    """All that a tensor holds."""
    if isinstance(tensor, QuantizedTensor):
        return bytes_of(tensor.codes) + bytes_of(tensor.params) + repr(tensor.shape).encode()
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def contents(path: Path) -> dict[str, bytes]:
    """All that a file holds."""
    return {name: bytes_of(tensor) for name, tensor in WeightLoader.open(path).items()}


def expand(path: Path) -> None:
    """Read all tensors of a file whose digests may be wrong, those in few bits as matrices."""
    for tensor in WeightLoader.open(path, verify=False).values():
        if isinstance(tensor, QuantizedTensor):
            with suppress(QuantizationError):
                reader(tensor.method).dequantize(tensor)


class Fuzzer:
    """Changes the kept files, one at a time."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.chance = path, random.Random(seed)
        kept = sorted(CORPUS.glob("*.parquet"))
        self.whole = [(path.read_bytes(), contents(path)) for path in kept]
        self.parts = [Parts.of(path) for path in kept]
        self.reasons: Counter[str] = Counter()
        self.tried = 0

    def step(self) -> bool:
        """Try one more; whether it was refused or read as it must be."""
        self.tried += 1
        self.path.unlink(missing_ok=True)  # a file that is written over is flushed at once
        try:
            if self.chance.random() < 0.5:
                self.path.write_bytes(lie(self.chance.choice(self.parts), self.chance).file())
                expand(self.path)
                return True
            data, whole = self.chance.choice(self.whole)
            self.path.write_bytes(change(data, self.chance))
            return whole == contents(self.path)
        except ModelLoadError as error:
            self.reasons[re.sub(r"[0-9a-f]{16}|\d+|'[^']*'", "", str(error))] += 1
            return str(self.path) in str(error)
        except Exception as error:  # noqa: BLE001  # anything else is what is looked for
            sys.stderr.write(f"{error!r}\n")
            return False


def main(seconds: float = 30, seed: int = 0) -> None:
    """Run until the time is over."""
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(Path(folder, "changed.parquet"), seed)
        for path in CORPUS.glob("*.parquet"):
            expand(path)  # which imports all that takes memory once
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not fuzzer.step():
                kept = Path(f"fuzzed-{seed}-{fuzzer.tried}.parquet")
                kept.write_bytes(fuzzer.path.read_bytes())
                sys.exit(
                    f"file {fuzzer.tried} of seed {seed} was neither refused nor right: {kept}"
                )
    sys.stdout.write(
        f"{fuzzer.tried} changed files, {fuzzer.reasons.total()} of them refused for "
        f"{len(fuzzer.reasons)} reasons, the others read as they must be\n"
    )


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((float, int), sys.argv[1:], strict=False)))
