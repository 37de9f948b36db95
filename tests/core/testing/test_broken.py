"""Plugins that are broken in many ways: each is noticed, in a line that names the cause."""

import re

import pytest

from aios_core.registry import Registry
from aios_core.testing.runner import check_distribution

pytest_plugins = ["aios_core.testing.fixtures"]

HEAD = """
import random

import aios_core
import numpy as np
import torch
from attrs import field, frozen, validators
from aios_core.contracts import NoiseScheduler, StepSampler

AIOS_API = 1
CALLS = [0]
"""

SCHEDULES = {
    "wrong-shape": ("return (1 - t).reshape(-1)[:1]", r"of shape \(1,\); expected torch.float64"),
    "flat": ("return 1 - t.clamp(max=0.5) * 2", "alpha does not fall everywhere"),
    "nan": ("return torch.where(t > 0.7, torch.nan, 1 - t)", "alpha .*nan.*expected"),
    "float32": ("return (1 - t).float()", "gives torch.float32"),
    "numpy": ("return (1 - t).numpy()", "gives ndarray; expected a Tensor"),
    "none": ("return None", r"alpha\(t\) gives None; expected a Tensor"),
    "list": ("return [1.0, 0.5, 0.0]", r"alpha\(t\) gives list; expected a Tensor"),
    "number": ("return 0.5", r"alpha\(t\) gives float; expected a Tensor"),
    "rising": ("return t", "alpha rises somewhere"),
    "bump": ("return 1 - t + 2 * torch.sin(9 * t) * t * (1 - t)", "alpha rises"),
    "half": ("return 1 - t / 2", r"alpha\(1\) is 0.5; expected 0"),
    "late": ("return 0.9 * (1 - t)", r"alpha\(0\) is 0.9; expected 1"),
    "state": ("CALLS[0] += 1; return 1 - t ** (1 + CALLS[0] / 100)", "two calls|differ by"),
    "in-place": ("return t.neg_().add_(1)", "in-place|the question was changed"),
    "draws": (
        "return 1 - t ** (1 + 0.1 * torch.rand(()).double())",
        "draws from the global generator of torch",
    ),
    "seeds": (
        "torch.manual_seed(0); return 1 - t",
        "draws from the global generator of torch, or seeds it",
    ),
    "raises": ("raise KeyError('beta')", r"alpha raised KeyError: 'beta' \(.*schedules.py:\d+\)"),
    "signature": (
        "return 1 - t",
        "takes 1 positional argument but 2 were given",
        "def alpha(self):",
    ),
    "fields": ("return 1 - t**self.k if self.k < 3 else 1 - 0 * t", None),
    "slope": (
        "return 1 - t\n\n    def alpha_prime(self, t):\n        return -2 * torch.ones_like(t)",
        r"instance.alpha_prime\(t\) is not slope",
    ),
    "inverse": (
        "return 1 - t\n\n    def inverse(self, alpha):\n        return alpha",
        r"instance.alpha\(t\) is not alpha: they differ by",
    ),
}
"""Name: the body of ``alpha``, and what is told of it; None: nothing, for a run refuses it."""

SAMPLERS = {
    "masks-left": ("return x", "a mask is left"),
    "some-left": ("return out.where(context.uniform() < 0.9, x)", "a mask is left"),
    "torch-draws": (
        "torch.rand(()); return out",
        "draws from the global generator of torch",
    ),
    "numpy-draws": ("np.random.rand(); return out", "draws from the global generator of numpy"),
    "python-draws": ("random.random(); return out", "draws from the global generator of Python"),
    "seeds": ("torch.manual_seed(3); return out", "global generator of torch, or seeds it"),
    "state": (
        "CALLS[0] += 1; return (out + CALLS[0] % 2 * context.masked(x)) % context.mask_id",
        "the same seeds give two texts",
    ),
    "float": ("return out.float()", r"a step gives torch.float32 of shape .*expected torch.int64"),
    "list": ("return out.tolist()", "a step gives list; expected a Tensor"),
    "none": ("return None", "a step gives None; expected a Tensor"),
    "narrow": ("return out[:, :1]", r"a step gives torch.int64 of shape \(\d+, 1\); expected"),
    "mates": (
        "return (out + len(x) % 2 * context.masked(x)) % context.mask_id",
        r"row \d+ depends on its batch mates",
    ),
    "overwrites": ("x.copy_(out); return x", "overwritten"),
    "out-of-range": ("return out + 99", r"a step gives token \d+; expected 0 to"),
    "fixed": (
        "return torch.cat((log_probs[:, :1].argmax(-1), out[:, 1:]), 1) if s == 0 else out",
        "a fixed token was changed",
    ),
    "lies": ("return log_probs.argmax(-1).where(context.masked(x), x)", "not exact|not fall"),
    "raises": ("raise KeyError('beta')", r"step raised KeyError: 'beta' \(.*samplers.py:\d+\)"),
    "nan": (
        "return context.categorical(log_probs * torch.nan, context.masked(x))",
        "log-probabilities|expected|a mask is left",
    ),
    "banana": ("return out", "exact is 'banana'; expected one of", "exact = 'banana'"),
    "undeclared": ("return out", "exact is None; expected one of", ""),
    "few-steps": (
        "return x if self.k > 0.5 and s == 0 else out",
        "with k=1.0: a mask is left",
    ),
}
"""Name: the body of ``step``, where ``out`` is right, and what is told of it."""


def class_name(name):
    return "Broken" + "".join(part.capitalize() for part in name.split("-"))


def schedules():
    text = HEAD
    for name, (body, _, *header) in SCHEDULES.items():
        line = header[0] if header else "def alpha(self, t):"
        text += f"\n@frozen\nclass {class_name(name)}(NoiseScheduler):\n"
        text += "    k: float = field(default=1.5, validator=validators.gt(0))\n"
        text += f"    {line}\n        {body}\n"
    return text + offer("aios_noise_schedulers", SCHEDULES)


def samplers():
    text = HEAD
    for name, (body, _, *exact) in SAMPLERS.items():
        line = (
            exact[0] if exact else "exact = 'in the limit'" if name == "lies" else "exact = 'never'"
        )
        text += f"\n@frozen\nclass {class_name(name)}(StepSampler):\n    {line}\n"
        text += (
            "    k: float = field(default=0.0, validator=[validators.ge(0), validators.le(1)])\n"
        )
        text += "    def step(self, x, t, s, log_probs, context):\n"
        text += "        stay = context.noise.mask_rate(s) / context.noise.mask_rate(t)\n"
        text += "        reveal = context.masked(x) & (context.uniform() >= stay)\n"
        text += "        out = context.categorical(log_probs, reveal).where(reveal, x)\n"
        text += f"        {body}\n"
    return text + offer("aios_samplers", SAMPLERS)


def offer(hook, names):
    table = ", ".join(f"{name!r}: {class_name(name)}" for name in names)
    return f"\n@aios_core.hookimpl\ndef {hook}():\n    return {{{table}}}\n"


def missed(kind, cases, summary):
    """Cases of which no line tells what it should."""
    found = {}
    for name, (_, pattern, *_) in cases.items():
        lines = re.findall(rf"^  {kind}\.{name} breaks .*$", summary, re.MULTILINE)
        told = pattern is not None and any(re.search(pattern, line) for line in lines)
        if told != (pattern is not None):
            found[name] = lines
    return found


@pytest.mark.slow
def test_broken_schedules_are_told_apart(tmp_plugin):
    """Fault N15, of 45 ways to break a plugin those of schedules."""
    tmp_plugin(schedules(), module="schedules")
    result = check_distribution(Registry.discover(), "schedules")

    assert {} == missed("noise", SCHEDULES, result.summary)
    assert not result.passed


@pytest.mark.slow
def test_broken_samplers_are_told_apart(tmp_plugin):
    """Fault N15, of 45 ways to break a plugin those of samplers."""
    tmp_plugin(samplers(), module="samplers")
    result = check_distribution(Registry.discover(), "samplers")

    assert {} == missed("sampler", SAMPLERS, result.summary)
    assert not result.passed
