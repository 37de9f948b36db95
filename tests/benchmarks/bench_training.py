"""Training throughput of our step, and of MDLM's network beside it.

    make bench AREA=training                                          # small, on the CPU
    make bench AREA=training ARGS='--device cuda --compile --layers 12 --dim 768 --heads 12 \\
        --length 1024 --vocab 50304 --batch 32 --steps 10 --reference path/to/mdlm'
    make bench AREA=training ARGS='--batch 64 --lengths 128 1024 8192 --rows 1000 1000000'

A step is all of one: draw, forward, backward, clip, AdamW, moving average. The two take turns,
a group of steps each. Floating-point operations a token, forward and backward:

    required = 6 P + 12 n L D + 6 s V D       n layers, s the share of positions that is decoded
    nominal  = 6 P + 12 n L D + 6 V D         the usual 6ND and attention, whatever is left out

with P the weights of the blocks' matrices. `tflops` is required operations over time, `mfu` that
over --peak; `nominal_tflops` compares with what others report. Memory is the peak above what the
other one holds.
"""

import argparse
import statistics
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from attrs import frozen
from mdlm_reference import Reference
from record import Recorder
from result import Bar

from aios_core.config import resolve
from aios_core.contracts import Vocabulary
from aios_core.training.data import Prepared, Tokens
from aios_core.training.layout import Framing
from aios_core.training.learner import Learner
from aios_core.training.token_rows import TokenRows


@frozen
class Contestant:
    """What is timed."""

    name: str
    learner: Any
    share: float
    """Of the positions, those whose logits are computed."""
    resident: int
    """Bytes that it holds between steps."""


def ours(given: argparse.Namespace, packing: str, row: int, rows: int | None = None) -> Learner:
    """A learner over random tokens: rows of so many, a million tokens or so many rows."""
    vocabulary = Vocabulary(
        size=given.vocab, mask_id=given.vocab - 1, pad_id=given.vocab - 2,
        bos_id=given.vocab - 3, eos_id=given.vocab - 4,
    )  # fmt: skip
    count = rows * row if rows else 1 << 20
    ids = np.random.default_rng(0).integers(0, given.vocab - 4, count, dtype=np.int32)
    config = resolve(
        {
            "backbone": {
                "dim": given.dim, "layers": given.layers, "heads": given.heads,
                "expansion": 8 / 3,
            },
            "diffusion": {"length": given.length, "packing": packing},
            "training": {
                "batch_size": given.batch, "device": given.device, "compile": given.compile,
                "ema_decay": 0.9999, "learning_rate": 3e-4,
            },
        }
    ).config  # fmt: skip
    parts = TokenRows.of((ids[i : i + row] for i in range(0, len(ids), row)), vocabulary)
    tokens = Tokens(parts, ids.nbytes, "", Framing.of(config))
    made = SimpleNamespace(vocabulary=vocabulary)
    prepared: Any = Prepared(made, tokens, tokens, None)  # type: ignore[arg-type]
    return Learner(config, prepared)


def operations(given: argparse.Namespace, model: torch.nn.Module, share: float) -> float:
    """Floating-point operations a token, forward and backward."""
    matrices = sum(
        p.numel() for name, p in model.named_parameters() if p.ndim == 2 and "blocks" in name
        and "modulation" not in name and "adaLN" not in name  # once a row, not a token
    )  # fmt: skip
    attention = 12 * given.layers * given.length * given.dim
    return 6 * matrices + attention + 6 * share * given.vocab * given.dim


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def matmul_tflops(device: torch.device) -> float:
    """What a large bfloat16 product reaches here, on random data."""
    size = 8192 if device.type == "cuda" else 512
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(20):
        synchronise(device)
        began = time.perf_counter()
        for _ in range(5):
            a @ b
        synchronise(device)
        times.append((time.perf_counter() - began) / 5)
    return 2 * size**3 / statistics.median(times) / 1e12


def measure(given: argparse.Namespace, contestants: list[Contestant]) -> None:
    """Let them take turns, and record."""
    device = torch.device(given.device)
    times: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    peaks = dict.fromkeys(times, 0)
    number = 0
    for group in range(given.groups + 1):  # the first one warms up
        for contestant in contestants:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
                others = torch.cuda.memory_allocated() - contestant.resident
            synchronise(device)
            began = time.perf_counter()
            for _ in range(given.steps):
                contestant.learner.step(number)
                number += 1
            synchronise(device)
            if group:
                times[contestant.name].append((time.perf_counter() - began) / given.steps)
            if device.type == "cuda" and group:
                peaks[contestant.name] = torch.cuda.max_memory_allocated() - others
    record = Recorder("training", given.device)
    product = matmul_tflops(device)
    tokens, speed, details = given.batch * given.length, {}, {}
    for contestant in contestants:
        seconds = statistics.median(times[contestant.name])
        required = (
            operations(given, contestant.learner.model, contestant.share) * tokens / seconds / 1e12
        )
        nominal = operations(given, contestant.learner.model, 1.0) * tokens / seconds / 1e12
        speed[contestant.name] = tokens / seconds
        details[contestant.name] = {
            "parameters": sum(p.numel() for p in contestant.learner.model.parameters()),
            "step_ms": 1e3 * seconds,
            "worst_ms": 1e3 * max(times[contestant.name]),
            "tflops": required,
            "nominal_tflops": nominal,
            "mfu_percent": 100 * required / given.peak,
            "nominal_mfu_percent": 100 * nominal / given.peak,
            "peak_gib": peaks[contestant.name] / 2**30,
        }
    ours, stream, packed, *others = (contestant.name for contestant in contestants)
    labels = {"mdlm": "MDLM"}
    form = "compiled" if given.compile else "eager"
    what = (
        f"{given.layers} x {given.dim}, L {given.length:,}, V {given.vocab:,}, "
        f"batch {given.batch}, {form}"
    )
    how = (
        f"median of {given.groups} groups of {given.steps} steps by turns, "
        "bfloat16 autocast on CUDA; "
        f"a large bfloat16 product reaches {product:.3g} TFLOP/s in the same process"
    )
    theirs = {f"mdlm_{k}": v for name in others for k, v in details[name].items()}
    record(
        f"{what}: tokens a second",
        speed[ours],
        unit="tokens/s",
        better="higher",
        peers={labels[name]: speed[name] for name in others},
        headline=True,
        how=how,
        **details[ours],
        **theirs,
    )
    for name, arm, least in (
        ("rows longer than a sequence, of a stream", stream, 0.97),
        (f"packed rows of {given.length // 6} tokens, of long rows", packed, 0.9),
    ):
        of = (speed[ours], speed[stream]) if arm == stream else (speed[packed], speed[ours])
        record(
            f"{what}, {name}: tokens a second",
            of[0] / of[1],
            unit="x",
            better="higher",
            bar=Bar("ours", least=least),
            how=how,
        )
    if device.type == "cuda":
        record(
            f"{what}: required operations, of {given.peak:g} TFLOP/s",
            details[ours]["mfu_percent"],
            unit="%",
            better="higher",
            peers={labels[name]: details[name]["mfu_percent"] for name in others},
            bar=Bar("ours", least=45) if given.compile else None,
            headline=given.compile,
            how=how,
        )


def curve(given: argparse.Namespace) -> None:
    """Seconds of a step of the same tokens by their length, and by the rows of the data set."""
    device, tokens = torch.device(given.device), given.batch * given.length
    record = Recorder("training", given.device)
    network = f"{given.layers} x {given.dim}, V {given.vocab:,}, {tokens:,} tokens a step"
    for length in given.lengths:
        shape = argparse.Namespace(
            **{**vars(given), "length": length, "batch": max(1, tokens // length)}
        )
        learner = ours(shape, "documents", 1 << 16)
        record(
            f"{network} in sequences of {length:,}",
            1e3 * step_time(learner, given, device),
            unit="ms/step",
            how=f"median of {given.groups} groups of {given.steps} steps",
        )
    for rows in given.rows:
        began = time.perf_counter()
        learner = ours(given, "documents", given.length // 2, rows)
        learner.step(0)
        synchronise(device)
        first = time.perf_counter() - began
        record(
            f"{network}, {rows:,} rows of {given.length // 2}",
            1e3 * step_time(learner, given, device),
            unit="ms/step",
            how=f"median of {given.groups} groups of {given.steps} steps",
            seconds_to_the_first_step=first,
        )


def step_time(learner: Learner, given: argparse.Namespace, device: torch.device) -> float:
    """Seconds of a step, at the median of groups, after one to warm up."""
    times, number = [], 1
    for _ in range(given.groups + 1):
        synchronise(device)
        began = time.perf_counter()
        for _ in range(given.steps):
            learner.step(number)
            number += 1
        synchronise(device)
        times.append((time.perf_counter() - began) / given.steps)
    return statistics.median(times[1:])


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    for name, default in {
        "layers": 4, "dim": 128, "heads": 4, "length": 128, "vocab": 4096, "batch": 8, "steps": 5,
        "groups": 5,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--compile", action="store_true", help="run both through torch.compile")
    parser.add_argument("--peak", type=float, default=790.0, help="TFLOP/s of the card")
    parser.add_argument("--reference", type=Path, help="a checkout of kuleshov-group/mdlm")
    parser.add_argument("--lengths", type=int, nargs="*", default=[], help="a curve by length")
    parser.add_argument("--rows", type=int, nargs="*", default=[], help="a curve by rows")
    given = parser.parse_args()
    if given.lengths or given.rows:
        curve(given)
        return
    device = torch.device(given.device)
    held = torch.cuda.memory_allocated if device.type == "cuda" else lambda: 0
    # With the loglinear schedule and times over all of [0, 1], half of the tokens are masked.
    contestants = []
    for name, packing, row in (
        ("ai-os-diffusion", "documents", 1 << 16),
        ("stream", "stream", 1 << 16),
        ("packed", "documents", given.length // 6),
    ):
        before = held()
        contestants.append(Contestant(name, ours(given, packing, row), 0.5, held() - before))
    if given.reference:
        before = held()
        settings = {
            n: getattr(given, n) for n in ("layers", "dim", "heads", "length", "vocab", "batch")
        }
        learner = Reference(given.reference, **settings, device=device, compiled=given.compile)
        contestants.append(Contestant("mdlm", learner, 1.0, held() - before))
    measure(given, contestants)


if __name__ == "__main__":
    main()
