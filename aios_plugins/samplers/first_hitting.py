"""The first-hitting sampler."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from attrs import frozen
from torch import Tensor

from aios_core.contracts import Denoising, Sampler, SamplingContext


@frozen
class FirstHitting(Sampler):
    """Jump from one lifted mask to the next: exact, with one call of the network for each token.

    The ancestral sampler in the limit of infinitely many steps, at the times when something
    happens (arXiv 2409.02908). With n masks left at mask rate r the next one is lifted at rate
    r u^(1/n), u uniform, at a position that is uniform too. It has no number of steps.
    """

    exact: ClassVar[Literal["always"]] = "always"

    def denoise(self, x: Tensor, context: SamplingContext) -> Denoising:
        """Fill in one token a row and call, until no row holds a mask."""
        rate = context.noise.mask_rate(torch.ones(len(x), dtype=torch.float64, device=x.device))
        for _ in range(int(context.masked(x).sum(-1).max())):
            masked = context.masked(x)
            # A row without masks has the exponent 1 / 0, so its time goes to 0 and stays there.
            rate = rate * context.uniform()[:, 0] ** (1 / masked.sum(-1).double())
            t = context.noise.inverse(1 - rate)
            chosen = context.uniform().masked_fill(~masked, -1).argmax(-1, keepdim=True)
            fill = torch.zeros_like(masked).scatter_(-1, chosen, value=True) & masked
            log_probs = yield x, t
            x = torch.where(fill, context.categorical(log_probs, fill), x)
            del log_probs  # before the next answer is made, for each is large
        return x
