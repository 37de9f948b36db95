"""What a sampler asks and gives, looked after: what a plugin returns is checked where it enters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aios_core.component import blamed, named
from aios_core.contracts.denoising import ask, states
from aios_core.diffusion.blocks import Blocks
from aios_core.errors import InferenceError, PluginError
from aios_core.tensor_cache import doubtful

if TYPE_CHECKING:
    from aios_core.contracts import Denoiser, Randomness, Sampler, SamplingContext


class Watched:
    """A denoiser whose calls are counted and whose last answer is kept, until the next call.

    Args:
        denoiser: what is asked.
        observe: called with every state that it is asked about.
        random: what tokens are drawn with.
        sampler: who asks and draws.
        fixed: (B, L) bool, what must not change.
    """

    last: Tensor | None = None
    suspect: Tensor | None = None
    start = 0

    def __init__(
        self,
        denoiser: Denoiser,
        observe: Callable[[Tensor], None],
        random: Randomness,
        sampler: Sampler,
        fixed: Tensor,
    ) -> None:
        self.denoiser, self.time_conditioned, self.nfe = denoiser, denoiser.time_conditioned, 0
        self.observe, self.random, self.fixed = observe, random, fixed
        self.sampler = sampler.inner if isinstance(sampler, Blocks) else sampler
        self.size: int | None = None

    @property
    def answer(self) -> Tensor:
        """The last answer."""
        assert self.last is not None, "look tells before"
        return self.last

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """The answer for all positions."""
        return self.part(x, t, 0, x.shape[1])

    def part(self, x: Tensor, t: Tensor, start: int, stop: int) -> Tensor:
        """The answer for some positions, or whatever the denoiser raises."""
        self.nfe += 1
        self.start, self.last = start, None  # two answers would be the most that is held
        try:
            self.observe(x)
            answer = ask(self.denoiser, x, t, start, stop)
        except Exception:
            self._tokens(x)  # which is why it was raised, if a sampler made one up
            raise
        if answer.ndim != 3 or answer.shape[:2] != (len(x), stop - start):
            raise InferenceError(
                f"the denoiser answered with shape {tuple(answer.shape)} in call {self.nfe}; "
                f"expected {(len(x), stop - start)} and the size of the vocabulary"
            )
        # Now, for a sampler may write into the answer.
        self.last, self.suspect, self.size = answer, doubtful(answer), answer.shape[-1]
        return answer

    def states(self, x: Tensor, context: SamplingContext, sampler: Sampler) -> Iterator[Tensor]:
        """The states of a sampler, of which it is known to be tensors of the shape of a state.

        Args:
            x: (B, L) int64, where it begins.
            context: what it may use.
            sampler: which is run; maybe block by block, when another one is blamed.

        Raises:
            PluginError: it yields something else, or raises what nobody foresaw.
        """
        guard = partial(blamed, self.sampler, "denoise")
        with guard():
            run = sampler.denoise(x, context)
        for state in states(run, x, self, guard):
            if (state.dtype, state.shape, state.device) != _kind(self.fixed):
                raise PluginError(
                    f"{named(self.sampler)} gives {state.dtype} of shape {tuple(state.shape)} on "
                    f"{state.device}; expected torch.int64 of shape {tuple(self.fixed.shape)} on "
                    f"{self.fixed.device}"
                )
            yield state

    def look(self, ids: Tensor, before: Tensor, changed: Tensor, masked: Tensor) -> tuple[int, int]:
        """How many positions of the last answer changed, and how many are masked: one wait.

        Args:
            ids: (B, L) int64, the new state.
            before: the old one.
            changed: (B, L) bool, where they differ.
            masked: where the new one holds a mask.

        Raises:
            InferenceError: the last answer is no distribution somewhere.
            PluginError: the sampler changed what is fixed, made up a token, or drew from what is no
                distribution.
        """
        if self.last is None or self.suspect is None or self.size is None:
            raise PluginError(
                f"{named(self.sampler)} yields a state before it asked the denoiser; expected it "
                "to ask first"
            )
        seen = slice(self.start, self.start + self.suspect.shape[1])
        broken = ids != torch.where(self.fixed, before, ids).clamp_(0, self.size - 1)
        if broken.shape != self.suspect.shape:
            broken = broken.any().expand_as(self.suspect)
        asked = torch.stack((changed[:, seen], masked[:, seen], self.suspect, broken)).sum((1, 2))
        if (drawn := self.random.invalid()) is not None:
            asked = torch.cat((asked, drawn[None]))
        differing, left, *wrong = asked.tolist()
        if any(wrong):
            self._tell(ids, changed, drew=len(wrong) > 2 and bool(wrong[2]))
        return differing, left

    def _tell(self, ids: Tensor, changed: Tensor, *, drew: bool) -> None:
        """Say what is wrong; the network's faults first, for the sampler's may follow from them."""
        assert self.suspect is not None
        if rows := self.suspect.any(-1).nonzero()[:8, 0].tolist():
            raise InferenceError(
                f"the network answered with NaN in call {self.nfe} (rows {rows}); its weights are "
                "damaged or its precision is too low"
            )
        self._tokens(ids)
        if places := (changed & self.fixed).nonzero().tolist():
            row, place = places[0]
            raise PluginError(
                f"{named(self.sampler)} changed row {row}, position {place}, which is fixed; "
                "expected what is fixed to stay"
            )
        if drew:
            raise PluginError(
                f"{named(self.sampler)} drew tokens from log-probabilities that are no "
                f"distribution (after call {self.nfe} of the network, which answered with one); "
                "expected numbers, at least one of them above minus infinity"
            )

    def _tokens(self, ids: Tensor) -> None:
        """Refuse ids that are no tokens."""
        if self.size is None or not isinstance(ids, Tensor) or ids.ndim != 2:
            return
        if places := (ids != ids.clamp(0, self.size - 1)).nonzero().tolist():
            row, place = places[0]
            raise PluginError(
                f"{named(self.sampler)} gives token {int(ids[row, place])} in row {row}, position "
                f"{place}; expected 0 to {self.size - 1}"
            )


def _kind(fixed: Tensor) -> tuple[torch.dtype, torch.Size, torch.device]:
    return torch.int64, fixed.shape, fixed.device
