"""Broken parts of networks and of their mathematics."""

import torch
from attrs import evolve

from aios_core.diffusion.bounds import CountBound
from aios_core.scaffold.examples.backbone import Averages
from aios_core.scaffold.examples.conditioner import Opening
from aios_core.scaffold.examples.corruption import Mixture
from aios_core.scaffold.examples.head import Tied
from aios_core.scaffold.examples.objective import Tempered
from aios_core.scaffold.examples.quantizer import Clipped
from broken_plugins.offers import changed, offer


@offer("corruption", "negative")
class Negative(Mixture):
    def noise(self, alpha, vocabulary):
        share = super().noise(alpha, vocabulary).clone()
        share[..., :2] += torch.tensor([-1.0, 1.0])
        return share


@offer("corruption", "falling")
class Falling(Mixture):
    def noise(self, alpha, vocabulary):
        share = super().noise(alpha, vocabulary).clone()
        share[..., 0] *= alpha**3
        return share / share.sum(-1, keepdim=True)


@offer("corruption", "absorbed")
class Absorbed(Mixture):
    absorbing = True


@offer("objective", "mean")
class Mean(Tempered):
    def score(self, noisy, prediction, context):
        return super().score(noisy, prediction, context).mean()


@offer("objective", "padded")
class Padded(Tempered):
    def draw(self, x0, targets, times, random, context):
        return super().draw(x0, torch.ones_like(targets), times, random, context)


@offer("objective", "heedless")
class Heedless(Padded):
    """Noises what is given."""


@offer("objective", "greedy")
class Charging(Tempered):
    def score(self, noisy, prediction, context):
        return super().score(noisy, prediction, context) + (~noisy.targets).sum(-1)


@offer("objective", "short")
class ByAll(CountBound):
    """As if as many were masked among all that is there."""

    bound = True

    def draw(self, x0, targets, times, random, context):
        noisy = super().draw(x0, targets, times, random, context)
        share = targets.double().mean(-1, keepdim=True)
        return evolve(noisy, weight=noisy.weight * share)


@offer("objective", "global")
class Global(Tempered):
    def score(self, noisy, prediction, context):
        losses = super().score(noisy, prediction, context)
        return losses + torch.rand(len(losses))


@offer("head", "narrow")
class Narrow(Tied):
    def build(self, dim, space):
        return changed(super().build(dim, space), "decode", lambda logits: logits[..., 1:])


@offer("head", "mixing")
class Mixing(Tied):
    def build(self, dim, space):
        return changed(super().build(dim, space), "decode", lambda y: y - y.mean(1, True))


@offer("head", "idle")
class Idle(Tied):
    def build(self, dim, space):
        module = super().build(dim, space)
        module.unused = torch.nn.Parameter(torch.ones(3))
        return module


@offer("backbone", "prophet")
class Prophet(Averages):
    def build(self, *, causal=False):
        return super().build(causal=False)


@offer("backbone", "blind")
class Blind(Averages):
    def build(self, *, causal=False):
        return super().build(causal=True)


@offer("backbone", "padded")
class PaddedBackbone(Averages):
    def build(self, *, causal=False):
        module = super().build(causal=causal)
        forward = module.forward
        module.forward = lambda h, t=None, condition=None: forward(h, t, None)
        return module


@offer("quantizer", "coarse")
class Coarse(Clipped):
    def fit(self, groups, statistics):
        quantized = super().fit(groups, statistics)
        return evolve(quantized, codes=quantized.codes // 4 * 4)


@offer("quantizer", "shifted")
class Shifted(Clipped):
    def dequantize(self, tensor):
        return super().dequantize(tensor) + 1


@offer("quantizer", "writing")
class Writing(Clipped):
    def quantize(self, weight, statistics=None):
        return super().quantize(weight.mul_(2), statistics)


def sourced(name, change):
    """Open a source of which a method gives something else."""

    def open_source(self, *given, **named):
        return changed(Opening.open(self, *given, **named), name, change)

    return open_source


@offer("conditioner", "foretelling")
class Foretelling(Opening):
    def open(self, *given, **named):
        source = super().open(*given, **named)
        first = source.for_evaluation
        source.for_evaluation = lambda ids: first(ids.flip(1))
        return source


@offer("conditioner", "insistent")
class Insistent(Opening):
    open = sourced("for_training", lambda cues: evolve(cues, known=cues.known | True))


@offer("conditioner", "careless")
class Careless(Opening):
    def open(self, *given, **named):
        source = super().open(*given, **named)
        source.for_sampling = lambda given, options: source.for_evaluation(torch.tensor([[0, 1]]))
        return source


@offer("conditioner", "shared")
class Shared(Opening):
    def build(self, dim, layers):
        module = super().build(dim, layers)
        context = module.context
        module.context = lambda cues: context(evolve(cues, kinds=cues.kinds.roll(1)))
        return module
