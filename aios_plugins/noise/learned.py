"""A schedule that is learned."""

from __future__ import annotations

import torch
from attrs import field, frozen, validators
from torch import Tensor, nn

from aios_core.contracts import NoiseScheduler
from aios_plugins.noise._monotone import MonotoneCurve


@frozen
class Learned(NoiseScheduler):
    """Spends time where the loss is large: trained beside the network to lower its variance.

    The bound does not depend on the schedule, its variance does (VDM, arXiv 2107.00630): drawing
    mask rates with density q costs the variance of loss / q, least for q in proportion to the root
    mean square of the loss at each rate. Before training it is linear.
    """

    bins: int = field(default=16, validator=[validators.ge(2), validators.le(65_536)])
    """Pieces of the monotone cubic that alpha is; their mask rates are spread evenly."""

    def alpha(self, t: Tensor) -> Tensor:
        """1 - t, where training starts."""
        return 1 - t

    def build(self) -> LearnedModule:
        """The schedule that a network is trained with."""
        return LearnedModule(self.bins)


class LearnedModule(MonotoneCurve, nn.Module):
    """A monotone cubic through points of even mask rates, whose times are parameters.

    What it says of the noise carries no gradient: `surprise` alone teaches it.
    """

    def __init__(self, bins: int) -> None:
        nn.Module.__init__(self)
        self.logits = nn.Parameter(torch.zeros(bins))

    def surprise(self, times: Tensor, losses: Tensor) -> Tensor:
        """A number whose gradient is that of the loss's second moment, up to a positive factor.

        With mask rates drawn from density q the second moment is the integral of G / q, G the mean
        square of the loss without its weight 1 / q; its gradient is the mean of -(loss)^2 times
        that of log q at the rates that were drawn.

        Args:
            times: (B, N) float64 that losses were drawn at.
            losses: (B,) nats, without gradient.
        """
        times = times.to(self.logits.device)
        share = self._shares(self.logits)
        place = (self.mask_rate(times) * len(share)).long().clamp(max=len(share) - 1)
        weight = losses.double().square().to(share.device)
        weight = weight / weight.mean().clamp(min=torch.finfo(torch.float64).tiny)
        return -(weight[:, None] * share[place].log()).mean()

    def _shares(self, logits: Tensor) -> Tensor:
        """(bins,) float64 share of the time that each piece takes.

        A tenth is shared out evenly, so that no piece is seen too rarely to show its need.
        """
        return 0.9 * logits.double().softmax(0) + 0.1 / len(logits)

    def points_on(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """As many times as bins have been learned, at even mask rates."""
        shares = self._shares(self.logits.detach()).to(t.device)
        times = torch.cat((shares.new_zeros(1), shares.cumsum(0)))
        times = times / times[-1]
        rates = torch.linspace(0, 1, len(times), dtype=torch.float64, device=t.device)
        return times, rates
