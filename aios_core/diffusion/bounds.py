"""Objectives that others are made of: bounds of the likelihood, and score entropy.

They share one convention: a sum over positions, never a mean over the masked ones, for the number
of masks is itself random and correlated with the loss.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from aios_core.contracts.objective import Noisy, Objective, corrupted

if TYPE_CHECKING:
    from aios_core.contracts import Prediction, Randomness, TrainingContext


class Bound(Objective):
    """The continuous-time bound (NELBO) of any corruption.

    The mean over uniform times of the relative entropy between the reverse processes of the data
    and of the model (`Process.integrand`). For masks that is w(t) times the cross-entropy summed
    over masked positions (MDLM, arXiv 2406.07524, eq. 10). With a time for each of N blocks it is
    the sum over blocks of what each adds, given those before it (BD3-LM, arXiv 2503.09573, eq. 8).
    """

    def score(self, noisy: Noisy, prediction: Prediction, context: TrainingContext) -> Tensor:
        """(B,) nats."""
        if context.process.absorbing:
            return weighted(noisy, prediction, prediction.losses(hidden(noisy, context)))
        times = noisy.times.reshape(-1)
        levels = context.noise.alpha(times), context.noise.alpha_prime(times)
        return prediction.everywhere(context.process.integrand, *levels).sum(-1)


class StepBound(Objective):
    """The bound for ancestral sampling in T equal steps (D3PM, arXiv 2107.03006).

    Larger than `Bound`, to which it falls as T grows. For masks it is w times the cross-entropy,
    with the weight of a whole step (MD4, arXiv 2406.04329).
    """

    steps: int
    """T."""

    def draw(
        self,
        x0: Tensor,
        targets: Tensor,
        times: Tensor,
        random: Randomness,
        context: TrainingContext,
    ) -> Noisy:
        """The state at the end of a step; each time decides which."""
        steps, noise = self.steps, context.noise
        t = (times.to(x0.device).reshape(len(x0), -1) * steps).floor().clamp(max=steps - 1) + 1
        now, before = t / steps, (t - 1) / steps
        z = corrupted(x0, targets, noise.alpha(now), random, context)
        if not context.process.absorbing:
            return Noisy(x0, z, now, targets)
        rate, earlier = noise.mask_rate(now), noise.mask_rate(before)
        weight = steps * (rate - torch.where(before > 0, earlier, 0)) / rate
        weight = torch.where(rate > 0, weight, 0)  # where nothing is masked it may be 0 / 0
        return Noisy(x0, z, now, targets, weight)

    def score(self, noisy: Noisy, prediction: Prediction, context: TrainingContext) -> Tensor:
        """(B,) nats."""
        if context.process.absorbing:
            return weighted(noisy, prediction, prediction.losses(hidden(noisy, context)))
        steps, now, noise = self.steps, noisy.times[:, 0], context.noise
        before = ((now * steps).round() - 1) / steps
        alpha, earlier = noise.alpha(now), torch.where(before > 0, noise.alpha(before), 1)
        return steps * prediction.everywhere(context.process.step_loss, alpha, earlier).sum(-1)


class CountBound(Bound):
    """The bound with k of n tokens masked, k uniform in 1..n (LLaDA, arXiv 2502.09992).

    Its mean is that of `Bound` over all of [0, 1] for every schedule, its variance lower. In blocks
    k of n are masked in each. For masks alone.
    """

    absorbing_only: ClassVar[bool] = True

    def draw(
        self,
        x0: Tensor,
        targets: Tensor,
        times: Tensor,
        random: Randomness,
        context: TrainingContext,
    ) -> Noisy:
        """So many masks a block; each time decides a number."""
        u = times.to(x0.device).reshape(len(x0), -1)
        inside = targets.view(*u.shape, -1)
        n = inside.sum(-1).double()
        k = (u * n).floor().clamp(max=n - 1) + 1
        score = random.uniform().to(x0.device)
        rank = score.view(inside.shape).masked_fill(~inside, torch.inf).argsort(-1).argsort(-1)
        chosen = (rank < k[..., None]).view(x0.shape) & targets
        z = torch.where(chosen, context.process.vocabulary.mask_id, x0)
        share = torch.where(n > 0, k / n, 1)
        return Noisy(x0, z, context.noise.inverse(1 - share), targets, 1 / share)


class ScoreEntropy(Objective):
    """Score entropy (SEDD, arXiv 2310.16834, eq. 9), for masks alone.

    With r = 1 / (exp(sigma) - 1) and logits l, a mask's scores are s_y = r exp(l_y) / (V - 1), and
    the loss is sigma' (sum of s_y - r log s_x0 + r (log r - 1)). Let Z be the sum of
    exp(l_y) / (V - 1): that is w(t) (Z - 1 - l_x0 + log(V - 1)), which is at least w(t) times the
    cross-entropy, and equal where Z = 1.
    """

    absorbing_only: ClassVar[bool] = True

    def score(self, noisy: Noisy, prediction: Prediction, context: TrainingContext) -> Tensor:
        """(B,) nats."""
        others = math.log(context.process.vocabulary.size - 1)

        def loss(logits: Tensor, targets: Tensor) -> Tensor:
            logits = logits - others
            return logits.exp().sum(-1) - 1 - logits.gather(-1, targets[:, None])[:, 0]

        return weighted(noisy, prediction, prediction.losses(hidden(noisy, context), loss))


def hidden(noisy: Noisy, context: TrainingContext) -> Tensor:
    """(B, L) bool: where the noisy state holds a mask."""
    return noisy.z == context.process.vocabulary.mask_id


def weighted(noisy: Noisy, prediction: Prediction, losses: Tensor) -> Tensor:
    """Losses (B, L) by the weight of their block, summed over each row: (B,)."""
    if noisy.weight is None:
        raise TypeError("what was drawn has no weight; expected (B, N) numbers")
    blocks = losses.view(*noisy.weight.shape, -1).sum(-1)
    return (prediction.place(noisy.weight) * blocks).sum(-1)
