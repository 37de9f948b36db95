"""Time grids of equal information."""

from itertools import pairwise

import pytest
import torch

from aios_core.config import resolve
from aios_core.errors import ConfigError
from aios_core.testing.oracle import Oracle
from aios_plugins.metrics.information import Information
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.noise.polynomial import Polynomial

schedules = pytest.mark.parametrize(
    "noise", [LogLinear(), Cosine(), Polynomial(exponent=3.0)], ids=repr
)


@schedules
def test_equal_tokens_are_equal_information(noise):
    """Where nothing is known of the tokens, each step lifts as many masks."""
    rates = noise.mask_rate(noise.timesteps(8, "information"))
    expected = rates[0] * torch.linspace(1, 0, 9).double()
    torch.testing.assert_close(rates, expected, atol=1e-6, rtol=0)


@schedules
def test_steps_carry_equal_information(noise):
    """By the exact curve of a joint: the integral of nats over mask rates is the same in each."""
    oracle = Oracle()
    nats = oracle.log_joint.exp() @ oracle.masked_loss() / torch.tensor([1, 5, 20, 30, 20, 5])
    curve = tuple((k / 5, float(nats[k])) for k in range(1, 6))
    assert all(low < high for (_, low), (_, high) in pairwise(curve))
    rates = noise.mask_rate(noise.timesteps(7, curve)).tolist()

    def information(low, high):
        x = low + (high - low) * (torch.arange(1000).double() + 0.5) / 1000
        place = (x * 5).clamp(1, 5)
        left = place.floor().clamp(max=4)
        height = nats[left.long()] * (left + 1 - place) + nats[left.long() + 1] * (place - left)
        return float(height.mean() * (high - low))

    shares = [information(low, high) for high, low in pairwise(rates)]
    assert pytest.approx([sum(shares) / 7] * 7, rel=2e-3) == shares
    assert rates[0] - rates[1] < rates[-2] - rates[-1], "a token tells most where most is hidden"


def test_curve_is_checked():
    for curve in ([], [[0.5, 1.0], [0.4, 1.0]], [[0.5, 0.0]], [[1.5, 1.0]]):
        with pytest.raises(ConfigError, match="spacing"):
            resolve({"sampling": {"spacing": curve}})
    assert ((0.5, 1.0), (1.0, 2)) == resolve(
        {"sampling": {"spacing": [[0.5, 1.0], [1.0, 2]]}}
    ).config.sampling.spacing


def test_metric_measures_the_curve(small_model):
    """Of a network that knows nothing it is log V everywhere."""
    from types import SimpleNamespace

    from aios_core.training.layout import Framing
    from aios_core.training.token_rows import TokenRows
    from aios_core.training.tokens import Tokens

    model = small_model()
    with torch.no_grad():
        model.head.linear.weight.zero_()
    config = resolve({"diffusion": {"length": 4}, "evaluation": {"batch_size": 64}}).config
    rows = TokenRows.of([(torch.arange(2000) % 3).numpy()], model.vocabulary)
    held_out = Tokens(rows, 2000, "x", Framing(4, documents=False))
    evidence = SimpleNamespace(model=model, config=config, held_out=held_out)
    result = Information().measure(evidence)
    assert [f"nats_at_{percent}" for percent in range(10, 101, 10)] == list(result)
    for name, estimate in result.items():
        expected = float(torch.tensor(6.0).log())
        assert abs(estimate.value - expected) < 4 * estimate.stderr + 1e-9, name
