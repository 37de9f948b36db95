"""Exponential moving average of the weights, which evaluation and sampling use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class Average:
    """Moving average of a module's parameters.

    Attributes:
        shadow: name to averaged parameter, beginning as a copy.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._parameters, self._decay = dict(module.named_parameters()), decay
        self.shadow: dict[str, Tensor] = {
            name: parameter.detach().clone() for name, parameter in self._parameters.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after a step.

        Early on the decay is smaller, (1 + step) / (10 + step), so that a short run's average does
        not remember its random beginning.

        Args:
            step: number of the step, from 0.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        shadow = [self.shadow[name] for name in self._parameters]
        torch._foreach_lerp_(shadow, list(self._parameters.values()), 1 - decay)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Inside the block the module has the average; its own weights come back, come what may."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._parameters.items():
            parameter.data, self.shadow[name] = self.shadow[name], parameter.data
