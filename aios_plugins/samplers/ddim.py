"""The implicit sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import frozen

from aios_core.contracts import Continuous
from aios_core.diffusion.process import inverse
from aios_plugins.samplers._numbers import Scales, implicit
from aios_plugins.samplers._reverse import ReverseStep

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import SamplingContext, TokenProcess


@frozen
class DDIM(ReverseStep):
    """Keep what a position holds whenever the schedule allows it (DDIM, arXiv 2010.02502, app. A).

    Each position stays as it is with the highest probability sigma that keeps every token's share
    on the schedule, else it becomes the clean token that was drawn for it: under uniform noise
    sigma = (1 - alpha(s)) / (1 - alpha(t)), and no fresh noise comes in, where ``ancestral`` lets
    some in at every step. For masks the two are the same. Numbers keep the noise that they have, of
    which there is less and less: no randomness is left but that of the start. Exact in the limit of
    many steps.
    """

    def towards(
        self,
        x: Tensor,
        x0: Tensor,
        levels: tuple[Tensor, Tensor],
        process: TokenProcess,
        context: SamplingContext,
    ) -> Tensor:
        """What is there where it may stay; else the clean token, or what noise is left."""
        alpha, earlier = levels
        if isinstance(process.space, Continuous):
            start, end = (Scales(level.sqrt(), (1 - level).sqrt()) for level in levels)
            return torch.where(context.free[..., None], implicit(x, x0, start, end), x)
        now, before = process.mass(alpha), process.mass(earlier)
        keep = torch.where(now > 0, before / now, 1).amin().clamp(max=1)
        fresh = (before - keep * now).clamp(min=0)  # of hybrid noise, whose kinds fade unevenly
        u = context.uniform()
        noise = inverse(fresh, context.uniform())
        moved = torch.where(u < keep + earlier - keep * alpha, x0, noise)
        return torch.where(context.fixed | (u < keep), x, moved)
