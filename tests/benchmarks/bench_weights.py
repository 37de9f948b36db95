"""Opening a model's weights, ours beside safetensors and pyarrow.

    make bench AREA=weights

A model of about 1 GB in float32 is written once in each format. Readers take turns in one process,
on one thread, on a file that is in the system's cache; values are medians over the rounds. "Open"
gives every tensor and reads none of its bytes; "copied" is the private memory that is held when
every tensor has been read. The bar was set as 1.5 times the time of safetensors.
"""

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import torch
from record import Recorder
from result import Bar
from safetensors import safe_open
from safetensors.torch import save_file

from aios_core.formats import open_tensors, save_tensors
from aios_plugins.tensor_formats.parquet.loader import WeightLoader

BAR = Bar("ratio", least=0.667)

TENSOR = "layers.7.up.weight"


def state(gigabytes: float) -> dict[str, torch.Tensor]:
    """A transformer of width 1024 with as many layers as the size asks for."""
    shapes = {
        "qkv.weight": (3072, 1024),
        "out.weight": (1024, 1024),
        "up.weight": (5632, 1024),
        "down.weight": (1024, 2816),
        "norm.weight": (1024,),
        "second_norm.weight": (1024,),
    }
    layer = 4 * sum(torch.Size(shape).numel() for shape in shapes.values())
    weights = torch.randn(5632 * 1024, generator=torch.Generator().manual_seed(0))
    return {
        f"layers.{n}.{name}": weights.roll(n)[: torch.Size(shape).numel()].reshape(shape).clone()
        for n in range(max(8, round(gigabytes * 1e9 / layer)))
        for name, shape in shapes.items()
    }


def ours(path: Path, *, verify: bool = False) -> WeightLoader:
    return WeightLoader.open(path, verify=verify)


def peer(path: Path) -> dict[str, torch.Tensor]:
    file = safe_open(path, framework="pt")
    return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def touch(tensors: dict[str, torch.Tensor]) -> float:
    return sum(float(tensor.sum()) for tensor in tensors.values())


def private_bytes() -> int:
    """Of this process, those of mapped files not among them."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def measure(readers: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, in turns."""
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            gc.collect()
            began = time.perf_counter()
            result = read()
            times[name].append(1e3 * (time.perf_counter() - began))
            del result
    return {name: statistics.median(each) for name, each in times.items()}


def copied(read: Callable[[], dict[str, torch.Tensor]]) -> int:
    """Private memory that is held more when everything has been read."""
    gc.collect()
    before = private_bytes()
    tensors = read()
    touch(tensors)
    return private_bytes() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=25)
    given = parser.parse_args()
    torch.set_num_threads(1)
    record = Recorder("weights")
    with tempfile.TemporaryDirectory() as folder:
        theirs, own = Path(folder, "m.safetensors"), Path(folder, "m.parquet")
        tensors = state(given.gigabytes)
        payload = sum(tensor.nbytes for tensor in tensors.values())
        save_file(tensors, theirs)
        count = len(tensors)
        del tensors
        began = time.perf_counter()
        save_tensors(open_tensors(theirs), own)
        size = f"a float32 model of {payload / 1e9:.2f} GB in {count} tensors"
        record(
            "convert from safetensors", time.perf_counter() - began, unit="s", how=f"once, {size}"
        )
        cases = {
            "open, all tensors": {
                "ours": lambda: dict(ours(own)),
                "safetensors": lambda: peer(theirs),
            },
            "open, one tensor": {
                "ours": lambda: ours(own)[TENSOR],
                "safetensors": lambda: safe_open(theirs, framework="pt").get_tensor(TENSOR),
            },
        }
        how = f"{size}; medians of {given.rounds} rounds in turns, one thread, file in the cache"
        for what, readers in cases.items():
            times = measure(readers, given.rounds)
            peers = {"safetensors": times["safetensors"]}
            record(what, times["ours"], unit="ms", peers=peers, bar=BAR, headline=True, how=how)
        slow = {
            "open, read every byte": lambda: touch(dict(ours(own))),
            "open, read every byte, digests checked": lambda: touch(dict(ours(own, verify=True))),
            "safetensors": lambda: touch(peer(theirs)),
            "pyarrow": lambda: pq.read_table(own, columns=["payload"], memory_map=True),
        }
        times = measure(slow, 3)
        how = f"{size}; medians of 3 rounds in turns, one thread, file in the cache"
        peers = {"safetensors": times["safetensors"]}
        for what, add in (
            ("open, read every byte", ""),
            ("open, read every byte, digests checked", "; safetensors checks no digests"),
        ):
            record(what, times[what], unit="ms", peers=peers, bar=BAR, how=how + add)
        record(
            "open all tensors, beside pyarrow on the same file",
            times["open, read every byte"],
            unit="ms",
            peers={"pyarrow": times["pyarrow"]},
            how=f"{how}; ours reads every byte too, pyarrow copies all of them",
        )
        record(
            "bytes copied, of the payload",
            100 * max(0, copied(lambda: dict(ours(own)))) / payload,
            unit="%",
            peers={"safetensors": 100 * max(0, copied(lambda: peer(theirs))) / payload},
            bar=Bar("ours", most=2),
            headline=True,
            how=f"{size}; private memory held after every tensor was read",
        )


if __name__ == "__main__":
    main()
