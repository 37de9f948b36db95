"""Block by block: any sampler, made semi-autoregressive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import torch
from attrs import evolve, field, frozen, validators

from aios_core.contracts import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Denoiser, SamplingContext


@frozen
class Blocks(Sampler):
    """Run a sampler on one block after the other, from left to right.

    A block is finished before the next begins, while the network sees all of the text (LLaDA,
    arXiv 2502.09992), or all before it when it is block-causal (BD3-LM, arXiv 2503.09573). Blocks
    begin at multiples of their size, as they do in training. Each has the sampler's whole number
    of steps and its own time from 1 to 0, which is also what the network is told. It is exact when
    the sampler is, for the chain rule holds for blocks as for tokens.
    """

    inner: Sampler
    """Fills in a block."""
    size: int = field(validator=validators.ge(1))
    """Positions a block; 1 goes from left to right, L or more is the sampler itself."""

    @property
    def exact(self) -> Literal["always", "in the limit", "one at a time", "never"]:  # type: ignore[override]
        """As the sampler that is run."""
        return self.inner.exact

    @property
    def remasks(self) -> bool:  # type: ignore[override]
        """Within the present block, as the sampler that is run."""
        return self.inner.remasks

    def sample(self, denoiser: Denoiser, x: Tensor, context: SamplingContext) -> Iterator[Tensor]:
        """All states of the first block, then all of the second, ...

        Each block has random streams of its own, so that a row does not depend on how long its
        batch mates keep a block busy.
        """
        places = torch.arange(x.shape[1], device=x.device) // self.size
        for number in range(-(-x.shape[1] // self.size)):
            fixed = context.fixed | (places != number)
            if not fixed.all():
                inside = evolve(context, fixed=fixed, random=context.random.fork(number))
                for state in self.inner.sample(denoiser, x, inside):
                    x = state
                    yield x
