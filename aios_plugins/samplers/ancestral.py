"""The ancestral sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aios_plugins.samplers._reverse import ReverseStep

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.contracts import SamplingContext, TokenProcess


@frozen
class Ancestral(ReverseStep):
    """Walk the reverse process, whatever the corruption.

    From t to s a mask is lifted with probability (alpha(s) - alpha(t)) / (1 - alpha(t)), and
    then a token is drawn (D3PM, arXiv 2107.03006; MDLM, arXiv 2406.07524). Under other noise a
    clean token is drawn at every position, and then the state at s between it and the present one
    (UDLM, arXiv 2412.10193). What happens in one step is drawn independently, so the error falls
    as 1 / steps.
    """

    def towards(
        self,
        x: Tensor,
        x0: Tensor,
        levels: tuple[Tensor, Tensor],
        process: TokenProcess,
        context: SamplingContext,
    ) -> Tensor:
        """A draw from the reverse process, given the clean tokens."""
        return process.between(x, x0, *levels, context)
