"""Heun's method."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import frozen

from aios_core.contracts import Question, SamplingContext
from aios_plugins.samplers._numbers import NumberSampler, Scales, scales

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Denoising


@frozen
class Heun(NumberSampler):
    """Two calls a step, one at each end, and the mean of their slopes (EDM, arXiv 2206.00364).

    Of second order, for numbers. It goes along the straight path (1 - u) x + u eps that every
    schedule is up to a scale: there the slope is (state - x) / u, finite at both ends. The last
    step is one of Euler's method, for at u = 0 nothing can be asked; n steps are 2 n - 1 calls.
    """

    def denoise(self, x: Tensor, context: SamplingContext) -> Denoising:
        """Go half of each step by either slope."""
        free = context.free[..., None]
        for t, s in pairwise(self.times(context)):
            now, then = scales(t, context), scales(s, context)
            u, v = _share(now), _share(then)
            state = x / sum(now)
            slope = (state - (yield x, t.to(x.device).expand(len(x)))) / u
            ahead = state + (v - u) * slope
            if s > 0:
                guess = (ahead * sum(then)).where(free, x)
                clean = yield Question(guess, s.to(x.device).expand(len(x)), new=False)
                ahead = state + (v - u) / 2 * (slope + (ahead - clean) / v)
            x = (ahead * sum(then)).where(free, x)
            yield x, None
        return x


def _share(at: Scales) -> Tensor:
    """Time on the straight path, from 0, clean, to 1."""
    return at.noise / (at.signal + at.noise)
