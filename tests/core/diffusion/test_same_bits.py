"""Samplers and objectives against the loops and sums that they had in version 0.1, bit by bit.

In one process, for processors differ in their instructions: the old code calls the network itself,
and is served as that of any third party.
"""

import math
from itertools import pairwise

import attrs
import pytest
import torch
from attrs import frozen

from aios_core.contracts import AdaptiveSampler, Condition, Objective, Sampler, StepSampler
from aios_core.diffusion.block_causal import two_streams
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.objective import estimate
from aios_core.testing.conformance import tokens
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.corruptions.hybrid import Hybrid
from aios_plugins.corruptions.uniform import Uniform
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers._remasking import shares

from .conftest import streams, whole

MASK, LENGTH = 3, 8
SAMPLERS = tokens("sampler")
OBJECTIVES = tokens("objective")


@frozen
class Before(Sampler):
    """A sampler run by the loop that it had."""

    exact = "never"
    inner: Sampler

    @property
    def remasks(self):
        return self.inner.remasks

    @property
    def absorbing_only(self):
        return self.inner.absorbing_only

    def sample(self, denoiser, x, context):
        inner, name = self.inner, type(self.inner).__name__
        if name == "Credit":
            credited = Credited(denoiser, inner)
            return adaptive(inner, credited, x, context)
        if name in {"FirstHitting", "Conf"}:
            return {"FirstHitting": first_hitting, "Conf": conf}[name](inner, denoiser, x, context)
        return (steps if isinstance(inner, StepSampler) else adaptive)(inner, denoiser, x, context)


def steps(sampler, denoiser, x, context):
    log_probs, changing = None, sampler.remasks or not context.absorbing
    for t, s in pairwise(sampler.times(context)):
        if not (changing or context.masked(x).any()):
            return
        if log_probs is None:
            log_probs = denoiser(x, t.expand(len(x)))
        new = sampler.step(x, t, s, log_probs, context)
        yield new
        if denoiser.time_conditioned or not new.equal(x):
            log_probs = None
        x = new


def adaptive(sampler, denoiser, x, context):
    assert isinstance(sampler, AdaptiveSampler)
    any_time = torch.ones(len(x), dtype=torch.float64)
    while (masked := context.masked(x)).any():
        log_probs = denoiser(x, context.time(x) if denoiser.time_conditioned else any_time)
        score = log_probs.amax(-1).masked_fill(~masked, -math.inf)
        fill = sampler.choose(masked, log_probs, context) & masked
        best = score.masked_fill(fill, math.inf).argmax(-1, keepdim=True)
        fill = fill.scatter(-1, best, value=True) & masked
        x = context.categorical(log_probs, fill).where(fill, x)
        yield x


def first_hitting(sampler, denoiser, x, context):
    rate = context.noise.mask_rate(torch.ones(len(x), dtype=torch.float64))
    for _ in range(int(context.masked(x).sum(-1).max())):
        masked = context.masked(x)
        rate = rate * context.uniform()[:, 0] ** (1 / masked.sum(-1).double())
        t = context.noise.inverse(1 - rate)
        chosen = context.uniform().masked_fill(~masked, -1).argmax(-1, keepdim=True)
        fill = torch.zeros_like(masked).scatter_(-1, chosen, value=True) & masked
        x = torch.where(fill, context.categorical(denoiser(x, t), fill), x)
        yield x


def conf(sampler, denoiser, x, context):
    probability, log_probs = torch.ones(x.shape, dtype=torch.float64), None
    for t, s in pairwise(context.noise.timesteps(sampler.steps, context.spacing)):
        if denoiser.time_conditioned or log_probs is None:
            log_probs = denoiser(x, t.expand(len(x)))
        stay, back = sampler.rates(x, probability, *shares(t, s, context), context)
        masked, u = context.masked(x), context.uniform()
        lifted = masked & (u >= stay)
        new = torch.where(lifted, context.categorical(log_probs, lifted), x)
        new = new.masked_fill(~masked & ~context.fixed & (u < back), context.mask_id)
        if not new.equal(x):
            drawn = log_probs.gather(-1, new[..., None])[..., 0].double().exp()
            probability, log_probs = torch.where(context.masked(x), drawn, probability), None
        x = new
        yield x


class Credited:
    time_conditioned = True

    def __init__(self, denoiser, settings):
        self.denoiser, self.settings, self.tokens, self.credit = denoiser, settings, None, None

    def __call__(self, x, t):
        log_probs = self.denoiser(x, t)
        best, token = log_probs.max(-1, keepdim=True)
        if self.tokens is None:
            self.tokens, self.credit = token[..., :0], best[..., :0]
        known = (self.tokens == token).any(-1, keepdim=True)
        if not known.all():
            self.tokens = torch.cat((self.tokens, token.masked_fill(known, -1)), -1)
            self.credit = torch.cat((self.credit, torch.zeros_like(best)), -1)
        earned = (self.settings.exponent * best).exp() * (self.tokens == token)
        self.credit = self.settings.decay * self.credit + earned
        index, gain = self.tokens.clamp(min=0), self.settings.weight * self.credit.log1p()
        said = log_probs.gather(-1, index).masked_fill(self.tokens < 0, -math.inf)
        rest = (1 - said.exp().sum(-1, keepdim=True)).clamp(min=0).log()
        total = torch.logaddexp(rest, (said + gain).logsumexp(-1, keepdim=True))
        return log_probs.scatter_add_(-1, index, gain).sub_(total)


def served(sampler, corruption):
    return corruption.absorbing or not sampler.absorbing_only


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize(
    ("name", "corruption", "settings"),
    [
        (name, corruption, settings)
        for name, sampler in SAMPLERS.items()
        for corruption, settings in (
            (Absorbing(), {}),
            (Absorbing(), {"temperature": 0.0}),
            (Absorbing(), {"block_size": 3}),
            (Uniform(), {}),
        )
        if served(sampler, corruption)
    ],
)
def test_samplers(small_model, name, corruption, settings, timed):
    model = small_model(corruption=corruption, time_conditioned=timed)
    sampler = SAMPLERS[name]()
    if "steps" in attrs.fields_dict(type(sampler)):
        sampler = attrs.evolve(sampler, steps=12)
    x = torch.full((3, LENGTH), MASK)
    x[0, 2], x[1, 5:] = 1, 0

    def states(sampler):
        core = DiffusionCore(model, sampler, LogLinear(), MASK, **settings)
        return list(core.stream(x, seeds=range(3), lengths=[LENGTH, 5, LENGTH]))

    new = states(sampler)
    with pytest.warns(DeprecationWarning, match="writes sample"):
        old = states(Before(sampler))
    assert [(each.step, each.nfe) for each in old] == [(each.step, each.nfe) for each in new]
    for each, other in zip(old, new, strict=True):
        for part in ("ids", "committed", "confidence", "committed_at", "entropy"):
            assert torch.equal(getattr(each, part), getattr(other, part)), part


@frozen
class Sums(Objective):
    """An objective by the sums that it had, with the noise of the streams that all draw from."""

    inner: Objective
    random: object

    def losses(self, model, x0, valid, times, generator):
        name, noise = type(self.inner).__name__, model.noise
        u = times.reshape(len(x0), -1)
        if name == "ExactCount":
            inside = valid.view(*u.shape, -1)
            n = inside.sum(-1).double()
            k = (u * n).floor().clamp(max=n - 1) + 1
            score = self.random.uniform()
            rank = score.view(inside.shape).masked_fill(~inside, torch.inf).argsort(-1).argsort(-1)
            z = torch.where((rank < k[..., None]).view(x0.shape) & valid, MASK, x0)
            share = torch.where(n > 0, k / n, 1)
            h = network(model, x0, z, noise.inverse(1 - share), valid)
            return masked_losses(model, h, x0, z, 1 / share)
        steps = getattr(self.inner, "steps", None)
        step = None if steps is None else (u * steps).floor().clamp(max=steps - 1) + 1
        now = u if steps is None else step / steps
        before = None if steps is None else (step - 1) / steps
        z = model.process.corrupt(x0, noise.alpha(now), self.random)
        z = torch.where(valid, z, x0)
        if not model.process.absorbing:
            t = now[:, 0]
            log_probs = model.log_probs(network(model, x0, z, now, valid))
            if steps is None:
                alpha, slope = noise.alpha(t), noise.alpha_prime(t)
                nats = model.process.integrand(z, x0, log_probs, alpha, slope)
            else:
                earlier = torch.where(before[:, 0] > 0, noise.alpha(before[:, 0]), 1)
                nats = model.process.step_loss(z, x0, log_probs, noise.alpha(t), earlier)
            return (steps or 1) * nats.masked_fill(~valid, 0).sum(-1)
        weight = noise.weight(now)
        if steps is not None:
            rate, last = noise.mask_rate(now), noise.mask_rate(before)
            weight = steps * (rate - torch.where(before > 0, last, 0)) / rate
            weight = torch.where(rate > 0, weight, 0)
        h = network(model, x0, z, now, valid)
        return masked_losses(model, h, x0, z, weight, scores=name == "ScoreEntropy")


def network(model, x0, z, times, valid):
    if model.in_blocks:
        return two_streams(model, z, x0, times, Condition(valid))
    return model.states(z, times.reshape(len(z)), Condition(valid))


def masked_losses(model, h, x0, z, weight, *, scores=False):
    where = (z == MASK).flatten().nonzero()[:, 0]
    states, targets = h.flatten(0, 1)[where], x0.flatten()[where]
    if scores:
        logits = model.logits(states[None])[0] - math.log(model.vocabulary.size - 1)
        nats = logits.exp().sum(-1) - 1 - logits.gather(-1, targets[:, None])[:, 0]
    else:
        nats = model.losses(states, targets)
    nats = nats.new_zeros(x0.numel()).index_put((where,), nats).view(x0.shape)
    return (weight * nats.view(*weight.shape, -1).sum(-1)).sum(-1)


@pytest.mark.parametrize(
    ("name", "corruption", "blocks"),
    [
        (name, corruption, blocks)
        for name, objective in OBJECTIVES.items()
        for corruption, blocks in (
            (Absorbing(), None),
            (Absorbing(), 2),
            (Uniform(), None),
            (Hybrid(), None),
        )
        if served(objective, corruption)
    ],
)
def test_objectives(small_model, name, corruption, blocks):
    """Losses, and the gradients of all weights."""
    x0 = torch.randint(3, (6, 4), generator=torch.Generator().manual_seed(2))
    valid = torch.ones_like(x0).bool()
    valid[0, 3:] = False
    times = torch.linspace(0.05, 1, 6 * (4 // (blocks or 4)), dtype=torch.float64).view(6, -1)

    def learned(objective):
        model = small_model(
            corruption=corruption, block_size=blocks, noise=Cosine(), dtype=torch.float32
        )
        losses = estimate(model, whole(x0, valid), times, streams(x0), objective=objective)
        losses.sum().backward()
        return [losses.detach(), *(parameter.grad for parameter in model.parameters())]

    new = learned(OBJECTIVES[name]())
    with pytest.warns(DeprecationWarning, match="writes losses"):
        old = learned(Sums(OBJECTIVES[name](), streams(x0)))
    for each, other in zip(old, new, strict=True):
        assert torch.equal(each, other)
