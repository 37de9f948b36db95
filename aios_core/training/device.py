"""Where a network runs, and in which precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch

from aios_core.errors import ConfigError

if TYPE_CHECKING:
    from aios_core.config.schema import TrainingConfig


def choose(training: TrainingConfig) -> torch.device:
    """The device of ``training.device``; ``"auto"`` is CUDA where there is one, else the CPU.

    Raises:
        ConfigError: this machine, or this build of torch, has no such device.
    """
    name = training.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        if reason.startswith("Expected one of"):  # torch lists what nobody has
            reason = "expected auto, cpu, cuda, cuda:1 or the like"
        raise ConfigError(f"training.device: {name!r} cannot be used here: {reason}") from error
    return device


def autocast(training: TrainingConfig, device: torch.device) -> AbstractContextManager[object]:
    """The precision of forward passes: bfloat16 on CUDA unless ``training.precision`` says else."""
    precision = training.precision
    if precision == "bfloat16" or (precision == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """One thread for the CPU's share of a step where CUDA does the rest.

    It is so small that more threads wait for each other: on 16 cores, 18 ms instead of 26.
    """
    before = torch.get_num_threads()
    if device.type == "cuda":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
