"""AdamW, without the compiler that `torch.optim` brings along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from attrs import define, frozen
from torch.optim.adamw import adamw

if TYPE_CHECKING:
    from torch import Tensor


@frozen(eq=False)
class Group:
    """Parameters that decay alike."""

    parameters: Sequence[Tensor]
    weight_decay: float


@define(eq=False)
class AdamW:
    """Adam with decoupled weight decay (arXiv 1711.05101), by torch's own kernels.

    It does what `torch.optim.AdamW` does, bit for bit. To make one of those imports torch's
    compiler, which takes longer than all else that a process does before its first step.
    """

    groups: Sequence[Group]
    betas: tuple[float, float]
    fused: bool
    """One kernel for all parameters, which also skips a step that is not finite by itself."""
    state: dict[Tensor, dict[str, Tensor]]
    """Of each parameter: ``step``, ``exp_avg`` and ``exp_avg_sq``."""

    @classmethod
    def of(cls, groups: Sequence[Group], betas: tuple[float, float], *, fused: bool) -> AdamW:
        """An optimiser that has not seen a gradient yet."""
        state = {
            parameter: {
                "step": torch.zeros((), device=parameter.device if fused else None),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
            for group in groups
            for parameter in group.parameters
        }
        return cls(groups, betas, fused, state)

    @torch.no_grad()
    def step(self, learning_rate: float, *, skip: Tensor | None = None) -> None:
        """Go one step along the gradients; parameters without one stay.

        Args:
            learning_rate: of this step.
            skip: () float32, 1 where nothing shall change; for fused kernels alone.
        """
        for group in self.groups:
            found = [(p, p.grad, self.state[p]) for p in group.parameters if p.grad is not None]
            states = [state for _, _, state in found]
            adamw(
                [parameter for parameter, _, _ in found],
                [gradient for _, gradient, _ in found],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                max_exp_avg_sqs=[],
                state_steps=[state["step"] for state in states],
                fused=self.fused,
                found_inf=skip,
                amsgrad=False,
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=learning_rate,
                weight_decay=group.weight_decay,
                eps=1e-8,
                maximize=False,
            )
