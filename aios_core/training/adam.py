"""AdamW, without the compiler that `torch.optim` brings along.

Optimizers that treat some weights in their own way leave the others to it, and adaptations of a
trained network are fitted by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from attrs import define, frozen
from torch.optim.adamw import adamw

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Weight

BETAS = (0.9, 0.98)
"""Of the two averages, unless others are asked for."""


@frozen(eq=False)
class Group:
    """Parameters that decay alike."""

    parameters: Sequence[Tensor]
    weight_decay: float


@define(eq=False)
class AdamStepper:
    """Adam with decoupled weight decay (arXiv 1711.05101), by torch's own kernels.

    It does what `torch.optim.AdamW` does, bit for bit. To make one of those imports torch's
    compiler, which takes longer than all else that a process does before its first step.
    """

    groups: Sequence[Group]
    betas: tuple[float, float]
    fused: bool
    """One kernel for all parameters, which also skips a step that is not finite by itself."""
    moments: dict[Tensor, dict[str, Tensor]]
    """Of each parameter: ``step``, ``exp_avg`` and ``exp_avg_sq``."""
    names: dict[str, Tensor]
    """Parameters by name, as far as they have names."""

    @classmethod
    def of(
        cls,
        groups: Sequence[Group],
        betas: tuple[float, float] = BETAS,
        *,
        fused: bool = False,
        names: dict[str, Tensor] | None = None,
    ) -> AdamStepper:
        """A stepper that has not seen a gradient yet."""
        moments = {
            parameter: {
                "step": torch.zeros((), device=parameter.device if fused else None),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
            for group in groups
            for parameter in group.parameters
        }
        return cls(groups, betas, fused, moments, names or {})

    @classmethod
    def build(
        cls, weights: Sequence[Weight], *, weight_decay: float, betas: tuple[float, float]
    ) -> AdamStepper:
        """A stepper of the weights of a network; on CUDA it is fused.

        Args:
            weights: all on one device.
            weight_decay: of those that decay.
            betas: of the averages of gradients and of their squares.
        """
        decayed = [weight.tensor for weight in weights if weight.decays]
        kept = [weight.tensor for weight in weights if not weight.decays]
        return cls.of(
            [Group(decayed, weight_decay), Group(kept, 0.0)],
            betas,
            fused=any(weight.tensor.device.type == "cuda" for weight in weights),
            names={weight.name: weight.tensor for weight in weights},
        )

    @property
    def state(self) -> dict[str, Tensor]:
        """The moments by the name of their parameter and their own, as in ``head.bias.exp_avg``."""
        return {
            f"{name}.{key}": value
            for name, parameter in self.names.items()
            for key, value in self.moments[parameter].items()
        }

    @torch.no_grad()
    def step(self, learning_rate: float, *, skip: Tensor | None = None) -> None:
        """Go one step along the gradients; parameters without one stay.

        Args:
            learning_rate: of this step.
            skip: () float32, 1 where nothing shall change; kernels that are not fused read it.
        """
        if skip is not None and not self.fused:
            if skip.item():
                return
            skip = None
        for group in self.groups:
            given = [(p, p.grad, self.moments[p]) for p in group.parameters if p.grad is not None]
            states = [state for _, _, state in given]
            adamw(
                [parameter for parameter, _, _ in given],
                [gradient for _, gradient, _ in given],
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
