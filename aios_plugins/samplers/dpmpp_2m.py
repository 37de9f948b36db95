"""DPM-Solver++ of second order."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from attrs import frozen

from aios_plugins.samplers._numbers import NumberSampler, Scales, implicit, scales

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import Denoising, SamplingContext


@frozen
class DPMpp2M(NumberSampler):
    """One call a step, and a line through the last two answers (DPM-Solver++ 2M, arXiv 2211.01095).

    Of second order in steps of equal size of log(signal / noise), for numbers. The first step and
    the last are DDIM's: pure noise and none are infinitely far away.
    """

    def denoise(self, x: Tensor, context: SamplingContext) -> Denoising:
        """Go on with what was clean, and how that changed since the step before."""
        free, before, last = context.free[..., None], None, None
        for t, s in pairwise(self.times(context)):
            now, then = scales(t, context), scales(s, context)
            clean = yield x, t.to(x.device).expand(len(x))
            step = _log_ratio(then) - _log_ratio(now)
            towards = clean
            if before is not None and last is not None and torch.isfinite(last) and s > 0:
                towards = clean + (clean - before) * step / (2 * last)
            x = implicit(x, towards, now, then).where(free, x)
            before, last = clean, step
            yield x, None
        return x


def _log_ratio(at: Scales) -> Tensor:
    """Half of the logarithm of the ratio of signal to noise."""
    return at.signal.log() - at.noise.log()
