"""Block by block: any sampler, made semi-autoregressive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from attrs import evolve, field, frozen, validators

from aios_core.contracts import Question, Sampler
from aios_core.contracts.denoising import rephrased

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Denoising, SamplingContext


@frozen
class Blocks(Sampler):
    """Run a sampler on one block after the other, from left to right.

    A block is finished before the next begins, while the network sees all of the text (LLaDA,
    arXiv 2502.09992), or all before it when it is block-causal (BD3-LM, arXiv 2503.09573). Blocks
    begin at multiples of their size, as they do in training. Each has the sampler's whole number
    of steps and its own time from 1 to 0, which the network gets, too. It is exact when
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

    def denoise(self, x: Tensor, context: SamplingContext) -> Denoising:
        """All states of the first block, then all of the second, ...

        The sampler sees a block and nothing else, and asks for no more. Each block has random
        streams of its own, so that a row does not depend on how long its batch mates keep a block
        busy.
        """
        unfilled = context.free.any(0).tolist()
        for number, start in enumerate(range(0, x.shape[1], self.size)):
            stop = min(start + self.size, x.shape[1])
            fixed = context.fixed[:, start:stop]
            if not any(unfilled[start:stop]):
                continue
            random = context.random.fork(number).window(start, stop)
            inside = evolve(context, fixed=fixed, random=random)
            part = x[:, start:stop]
            run = self.inner.denoise(part, inside)
            x = yield from rephrased(run, question=_Whole(x, part, start))
        return x


class _Whole:
    """From questions about some positions to questions about them that show all of the text."""

    def __init__(self, x: Tensor, part: Tensor, start: int) -> None:
        stop = start + part.shape[1]
        self.before, self.part, self.after = x[:, :start], slice(start, stop), x[:, stop:]
        self.last = part, x  # the same for as long as the part is

    def __call__(self, asked: Question) -> Question:
        if asked.state is not self.last[0]:
            self.last = asked.state, torch.cat((self.before, asked.state, self.after), 1)
        return Question(self.last[1], asked.t, self.part, asked.new)
