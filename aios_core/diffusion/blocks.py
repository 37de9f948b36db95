"""Block by block: any sampler, made semi-autoregressive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import torch
from attrs import evolve, field, frozen, validators

from aios_core.contracts import Sampler
from aios_core.diffusion.denoiser import ask
from aios_core.tensor_cache import cached_by_tensor

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

        The sampler sees a block and nothing else, and the denoiser is asked for no more. Each block
        has random streams of its own, so that a row does not depend on how long its batch mates
        keep a block busy.
        """
        wanted = context.free.any(0).tolist()
        for number, start in enumerate(range(0, x.shape[1], self.size)):
            stop = min(start + self.size, x.shape[1])
            fixed = context.fixed[:, start:stop]
            if not any(wanted[start:stop]):
                continue
            random = context.random.fork(number).window(start, stop)
            inside = evolve(context, fixed=fixed, random=random)
            part = _Part(denoiser, x, start, stop)
            for state in self.inner.sample(part, x[:, start:stop], inside):
                x = part.whole(state)
                yield x


class _Part:
    """A denoiser of some positions, which knows what stands at the others."""

    def __init__(self, denoiser: Denoiser, x: Tensor, start: int, stop: int) -> None:
        self.denoiser, self.time_conditioned = denoiser, denoiser.time_conditioned
        self.start, self.stop, self.before, self.after = start, stop, x[:, :start], x[:, stop:]
        self.whole = cached_by_tensor(lambda x: torch.cat((self.before, x, self.after), 1))
        """The positions x (B, L) among all others."""

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        return ask(self.denoiser, self.whole(x), t, self.start, self.stop)
