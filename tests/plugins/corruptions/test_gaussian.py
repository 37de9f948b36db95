"""Gaussian noise where it is refused, and its bound against a density that is known."""

from __future__ import annotations

import math

import pytest
import torch

from aios_core.config import resolve
from aios_core.contracts import Continuous, Vocabulary
from aios_core.diffusion.process import process_of
from aios_core.diffusion.random import RowRandom
from aios_core.errors import ConfigError, PluginError
from aios_core.testing.normal import NormalOracle
from aios_plugins.corruptions.gaussian import Gaussian
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.flow import Flow

VOCABULARY = Vocabulary(size=7, mask_id=3, pad_id=4, bos_id=5, eos_id=6)


def test_tokens_are_refused():
    with pytest.raises(PluginError, match=r"(?i)gaussian.* has no process for Vocabulary"):
        process_of(Gaussian(), VOCABULARY)
    with pytest.raises(PluginError, match="expected a continuous space, got a vocabulary"):
        Gaussian().noise(torch.zeros(()), VOCABULARY)


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("corruption", "gaussian"),
        ("sampler", "heun"),
        ("sampler", "dpmpp-2m"),
        ("head", "linear"),
    ],
)
def test_a_configuration_of_texts_refuses_what_is_for_numbers(section, name):
    with pytest.raises(ConfigError, match=f"{section}: .* is for numbers, and the data are tokens"):
        resolve({section: {"type": name}})


@pytest.mark.parametrize("noise", [Flow(), Cosine()], ids=["flow", "cosine"])
def test_the_bound_of_a_normal_distribution(noise):
    """M17: the integral over times from eps on, and what is left at eps, are its entropy.

    -log p(x) is at most -log p(x | z_eps) + the integral + the prior's divergence from its normal
    form, which is 0 for schedules that end at pure noise.
    """
    rows, eps = 40_000, 1e-3
    random = torch.Generator().manual_seed(0)
    x = NormalOracle.mean + NormalOracle.deviation * torch.randn(
        rows, 1, 1, generator=random, dtype=torch.float64
    )
    oracle, process = NormalOracle(noise), process_of(Gaussian(), Continuous(1))
    t = eps + (1 - eps) * (torch.randperm(rows, generator=random) + 0.5).double() / rows
    alpha = noise.alpha(t)
    z = process.corrupt(x, alpha[:, None], RowRandom.numbered(1, range(rows), 1))
    parts = process.integrand(z, x, oracle(z, t), alpha, noise.alpha_prime(t))[:, 0]
    # p(x | z_eps), of the clean number given the state: normal, with the posterior's variance.
    first = torch.full((rows,), eps, dtype=torch.float64)
    level = noise.alpha(first[:1])
    spread = 1 / (1 / oracle.deviation**2 + level / (1 - level))
    rest = 0.5 * float((2 * math.pi * math.e * spread).log())
    entropy = 0.5 * math.log(2 * math.pi * math.e * oracle.deviation**2)
    bound = (1 - eps) * float(parts.mean()) + rest
    assert abs(bound - entropy) < 4 * float(parts.std()) / math.sqrt(rows) + 1e-3


def test_small_times_are_numbers():
    """M17: where 1 - alpha is 1e-8 and less, in float64."""
    noise, process = Flow(), process_of(Gaussian(), Continuous(2))
    t = torch.tensor([0.0, 1e-8, 1e-4, 1.0], dtype=torch.float64)
    x = torch.ones(4, 3, 2)
    z = process.corrupt(x, noise.alpha(t)[:, None], RowRandom.numbered(0, range(4), 3))
    parts = process.integrand(z, x, x + 0.1, noise.alpha(t), noise.alpha_prime(t))
    assert z.isfinite().all()
    assert parts.isfinite().all()
    assert (parts[2] > 0).all()
