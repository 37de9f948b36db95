"""The mathematics of a corruption: noise, reverse steps, and what the bounds add up.

All of it follows from q(z | x) = alpha 1[z = x] + n(z), position by position, where n, the mass
of noise, is (1 - alpha) noise(alpha). Between two levels a token survives with probability
r = alpha_t / alpha_s and is noise from n_t - r n_s otherwise. Formulas are written in masses
rather than odds n / alpha, which are infinite at t = 1.

A prediction p is that of the clean token given everything *but* its own position: what a network
trained by these bounds learns. For masks that makes no difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from attrs import frozen
from torch import Tensor

from aios_core.component import blamed, named
from aios_core.contracts import Vocabulary
from aios_core.errors import PluginError
from aios_core.tensor_cache import cached_by_tensor

if TYPE_CHECKING:
    from aios_core.contracts import (
        Corruption,
        Draws,
        NoiseScheduler,
        Process,
        Randomness,
        SamplingContext,
        Space,
        TokenProcess,
    )

_TINY = torch.finfo(torch.float64).tiny
_LEAST = 1e-100
"""Noise below which a token is clean for certain, and of whose odds sums are still finite."""


@frozen
class DiscreteProcess:
    """A corruption of the tokens of a vocabulary: what follows from `Corruption.noise`."""

    corruption: Corruption
    vocabulary: Vocabulary

    @property
    def space(self) -> Vocabulary:
        """The vocabulary."""
        return self.vocabulary

    @property
    def absorbing(self) -> bool:
        """Whether noise is the mask and nothing else."""
        return self.corruption.absorbing

    def mass(self, alpha: Tensor) -> Tensor:
        """Probability (..., V) of each token as noise, at survival probabilities (...)."""
        return _mass(alpha, self)

    def prior(self, u: Tensor) -> Tensor:
        """Pure noise from uniforms in [0, 1) of any shape, int64 on their device."""
        noise = self.corruption.noise(u.new_zeros(()), self.vocabulary)
        return inverse(noise, u)

    def corrupt(self, x0: Tensor, alpha: Tensor, random: Randomness) -> Tensor:
        """Noisy state at survival probability alpha.

        Args:
            x0: (B, L) int64 clean tokens.
            alpha: (B, N) or (B,) float64 survival probabilities of N equal parts of each row; N is
                1 under noise that is more than masks.
            random: a stream for each row, on the CPU.

        Returns:
            (B, L) int64, a new tensor.
        """
        u = random.uniform().to(x0.device)
        alpha = alpha.to(x0.device).reshape(len(x0), -1)
        if self.absorbing:
            parts = alpha.shape[1]
            if parts > 1:
                alpha = alpha.repeat_interleave(x0.shape[1] // parts, 1)
            return torch.where(u < alpha, x0, self.vocabulary.mask_id)
        noise = self.corruption.noise(alpha[:, 0], self.vocabulary)
        # What u has above alpha is uniform again.
        other = inverse(noise, ((u - alpha) / (1 - alpha).clamp(min=_TINY)).clamp(0, 1))
        return torch.where(u < alpha, x0, other)

    def evidence(self, z: Tensor, alpha: Tensor) -> Tensor:
        """How much likelier a clean token of z makes z, (B, L): q(z | z) / q(z | others) - 1.

        By so much more of the prediction of z it becomes the distribution of the clean tokens given
        all of z, each one's own position included (not normalised): p times q(z | x).

        Args:
            z: (B, L) int64.
            alpha: () or (B,) survival probabilities.
        """
        return _column(alpha) / _at(self.mass(alpha), z).clamp(min=_LEAST)

    def posterior(
        self, z: Tensor, x0: Tensor, alpha: Tensor, earlier: Tensor
    ) -> tuple[Tensor, ...]:
        """How the state at an earlier time came about, when x0 is clean and z was seen later.

        Args:
            z: (B, L) int64 state at t.
            x0: (B, L) int64 clean tokens.
            alpha: () or (B,) survival probabilities to t.
            earlier: survival probabilities to s < t.

        Returns:
            (B, L) probabilities that it is z already, that it is x0, and that it is noise of the
            earlier time; they add up to 1 (D3PM, arXiv 2107.03006, by Bayes' rule).
        """
        changed, earlier = self._changed(z, x0, alpha, earlier), _column(earlier)
        return 1 - changed, earlier * changed, (1 - earlier) * changed

    def _changed(self, z: Tensor, x0: Tensor, alpha: Tensor, earlier: Tensor) -> Tensor:
        """Probability (B, L) that z was noise of the time since, as for `posterior`."""
        now, before = _at(self.mass(alpha), z), _at(self.mass(earlier), z)
        level = _column(alpha)
        total = torch.addcmul(now, level, z == x0).clamp_(min=_TINY)
        return torch.addcmul(now, level / _column(earlier), before, value=-1).div_(total)

    def guess(self, z: Tensor, log_probs: Tensor, alpha: Tensor, draws: Draws) -> Tensor:
        """A draw of the clean tokens (B, L), each given all of z, its own position included."""
        return draws.categorical(log_probs, draws.free, (z, self.evidence(z, alpha)))

    def between(
        self, z: Tensor, x0: Tensor, alpha: Tensor, earlier: Tensor, draws: Draws
    ) -> Tensor:
        """A draw of the state (B, L) at an earlier time, by `posterior`."""
        changed, u = self._changed(z, x0, alpha, earlier), draws.uniform()
        other = self.draw(earlier, draws.uniform())
        new = torch.where(u < (1 - _column(earlier)) * changed, other, x0)
        return torch.where((u < changed) & draws.free, new, z)

    def draw(self, alpha: Tensor, u: Tensor) -> Tensor:
        """Noise (B, L) of the level of () alpha, from uniforms (B, L) in [0, 1)."""
        return inverse(self.mass(alpha), u)

    def integrand(
        self, z: Tensor, x0: Tensor, log_probs: Tensor, alpha: Tensor, slope: Tensor
    ) -> Tensor:
        """What the NELBO integrates over time, at each position, in nats.

        Relative entropy of the reverse processes of the data and of the model, as Markov chains in
        continuous time: the sum over y != z of r' - r + r log(r / r'), where r is the rate from y
        to z times q(y | x0) / q(z | x0) and r' that of the prediction. For masks it is MDLM's
        (arXiv 2406.07524), for uniform noise UDLM's (arXiv 2412.10193), for the hybrid GIDD's
        (arXiv 2503.04482).

        Args:
            z: (B, L) int64 state at t.
            x0: (B, L) int64 clean tokens.
            log_probs: (B, L, V) the prediction, normalised.
            alpha: (B,) float64 survival probabilities.
            slope: (B,) float64 their slopes.

        Returns:
            (B, L) float64, at least 0.
        """
        alpha = alpha.clamp(min=1e-12)  # where it is 0 the terms vanish faster than rates grow
        mass = self.mass(alpha)
        noise, turn = self._turn(alpha)
        # alpha d(n / alpha)/dt, at z: the rate at which other tokens turn into it.
        rate = _at(slope[:, None] * ((1 - alpha)[:, None] * turn - noise / alpha[:, None]), z)
        here = _at(mass, z) > 0  # elsewhere z is clean for certain
        model, data = (torch.where(here, q, 1) for q in self._seen(z, x0, log_probs, alpha, mass))
        inner = self._gain(x0, log_probs, alpha, mass) + (model / data).log()
        return torch.where(here, rate * (1 / model - 1 / data + inner / data), 0)

    def step_loss(
        self, z: Tensor, x0: Tensor, log_probs: Tensor, alpha: Tensor, earlier: Tensor
    ) -> Tensor:
        """Relative entropy of one reverse step of the data and of the model (D3PM), in nats.

        Args:
            z: (B, L) int64 state at t.
            x0: (B, L) int64 clean tokens.
            log_probs: (B, L, V) the prediction, normalised.
            alpha: (B,) float64 survival probabilities to t.
            earlier: (B,) float64 to s < t; at 1 it is the loss of the clean tokens themselves.

        Returns:
            (B, L) float64, at least 0.
        """
        now, before = self.mass(alpha), self.mass(earlier)
        here = _at(now, z) > 0
        model, data = (torch.where(here, q, 1) for q in self._seen(z, x0, log_probs, alpha, now))
        past_model, past = self._seen(z, x0, log_probs, earlier, before)
        survival = _column(alpha / earlier)
        stayed = survival * past * (past / past_model).clamp(min=_TINY).log()
        gain = self._gain(x0, log_probs, earlier, before)
        changed = (_at(now, z) - survival * _at(before, z)) * gain
        return torch.where(here, (stayed + changed) / data + (model / data).log(), 0)

    def _turn(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """The noise (B, V), and how it changes with alpha.

        In reverse mode twice: the slope of a vector in one number, of any corruption's making.
        """
        with torch.inference_mode(mode=False), torch.enable_grad():
            level = alpha.detach().clone().requires_grad_()
            noise = self.corruption.noise(level, self.vocabulary)
            if not noise.requires_grad:
                return noise, torch.zeros_like(noise)
            seed = torch.zeros_like(noise, requires_grad=True)
            (pulled,) = torch.autograd.grad(noise, level, seed, create_graph=True)
            (turn,) = torch.autograd.grad(pulled.sum(), seed)
        return noise.detach(), turn

    def _seen(
        self, z: Tensor, x0: Tensor, log_probs: Tensor, alpha: Tensor, mass: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Probabilities (B, L) of z by the prediction and by the clean tokens."""
        noise, level = _at(mass, z), _column(alpha)
        predicted = log_probs.gather(-1, z[..., None])[..., 0].double().exp()
        return (level * predicted + noise).clamp(min=_TINY), level * (z == x0) + noise

    def _gain(self, x0: Tensor, log_probs: Tensor, alpha: Tensor, mass: Tensor) -> Tensor:
        """Sum over y of q(y | x0) log(q(y | x0) / q(y | p)), (B, L) float64.

        Without a (B, L, V) tensor of q: -sum n log(1 + alpha p / n), and what is special about x0.
        """
        noise = mass[:, None].to(log_probs.dtype)
        ratio = _column(alpha)[..., None].to(log_probs.dtype) / torch.where(noise > 0, noise, 1)
        spread = (noise * torch.log1p(ratio * log_probs.exp())).sum(-1).double()
        level, here = _column(alpha), _at(mass, x0)
        chosen = log_probs.gather(-1, x0[..., None])[..., 0].double()
        own = torch.logaddexp(chosen + level.log(), here.log())
        both = torch.xlogy(level + here, level + here) - torch.xlogy(here, here)
        return both - spread - level * own


def process_of(corruption: Corruption, space: Space) -> Process:
    """The forward process of a corruption on the states of a space.

    Raises:
        PluginError: the corruption has none for it.
    """
    with blamed(corruption, "process"):
        process = corruption.process(space)
    if process is None and isinstance(space, Vocabulary) and Vocabulary in corruption.spaces:
        return DiscreteProcess(corruption, space)
    if process is None or process.space != space:
        raise PluginError(
            f"{named(corruption)} has no process for {space}; expected a corruption of such states"
        )
    return process


def tokens_of(corruption: Corruption, vocabulary: Vocabulary) -> TokenProcess:
    """Likewise, on tokens.

    Raises:
        PluginError: the corruption has none for tokens.
    """
    return cast("TokenProcess", process_of(corruption, vocabulary))


def levels(t: Tensor, s: Tensor, context: SamplingContext) -> tuple[Tensor, Tensor]:
    """Survival probabilities () to t and to s, at which nothing is noise any more if it is 0."""
    return _level(t, context.noise), _level(s, context.noise)


@cached_by_tensor
def _level(t: Tensor, noise: NoiseScheduler) -> Tensor:
    """What is earlier in one step is the present time of the next."""
    return torch.where(t > 0, noise.alpha(t), 1)


def lift(x: Tensor, t: Tensor, s: Tensor, log_probs: Tensor, context: SamplingContext) -> Tensor:
    """One ancestral step of masks: some become tokens, all of them where s is 0.

    Two draws, whether to lift a mask and then which token it becomes, instead of one over the
    tokens and the mask: next to a mask of high probability rare tokens would vanish.

    Args:
        x: (B, L) int64 state at t.
        t: () float64.
        s: () float64, earlier.
        log_probs: (B, L, V) the prediction.
        context: schedule, generators, fixed positions.
    """
    kept = context.noise.mask_rate(s) / context.noise.mask_rate(t)
    lifted = context.masked(x) & (context.uniform() >= torch.where(s > 0, kept, 0))
    return torch.where(lifted, context.categorical(log_probs, lifted), x)


@cached_by_tensor
def _mass(alpha: Tensor, process: DiscreteProcess) -> Tensor:
    alpha = alpha.double()
    return (1 - alpha)[..., None] * process.corruption.noise(alpha, process.vocabulary)


def _at(mass: Tensor, z: Tensor) -> Tensor:
    """Entries (B, L) of (V,) or (B, V) at tokens (B, L)."""
    return _entries(z, mass)


def _column(alpha: Tensor) -> Tensor:
    """() or (B,) as something that goes with (B, L)."""
    return alpha.double().reshape(-1, 1)


@cached_by_tensor
def _entries(z: Tensor, mass: Tensor) -> Tensor:
    probability: Tensor = mass.expand(len(z), -1).gather(1, z)
    return probability


def inverse(noise: Tensor, u: Tensor) -> Tensor:
    """Tokens by inverse distribution function, of (V,) at any u or of (B, V) at u (B, L).

    Examples:
        >>> inverse(torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.0, 0.49, 0.5, 0.99]))
        tensor([0, 0, 1, 2])
    """
    cumulative = noise.cumsum(-1)
    target = (u * cumulative[..., -1:]).contiguous()
    tokens: Tensor = torch.searchsorted(cumulative, target, right=True)
    return tokens


if TYPE_CHECKING:

    def _offers(process: DiscreteProcess) -> TokenProcess:
        return process
