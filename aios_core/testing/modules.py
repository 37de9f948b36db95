"""What the suites of heads and backbones share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> Any:
    """What ``build`` makes when torch is seeded; torch's own state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def stir(module: nn.Module) -> Any:
    """Move every parameter a little, so that none hides behind another one that starts at zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return module.eval()


def same_parameters(a: nn.Module, b: nn.Module) -> bool:
    """Whether two modules hold the same names and values."""
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def assert_learns(module: nn.Module, output: Tensor) -> None:
    """Every parameter gets a finite gradient from a random loss, and no gradient is zero."""
    generator = torch.Generator().manual_seed(2)
    (output * torch.randn(output.shape, generator=generator)).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, f"{name} gets no gradient"
        assert parameter.grad.isfinite().all(), f"the gradient of {name} is not finite"
        assert parameter.grad.any(), f"the gradient of {name} is zero"
