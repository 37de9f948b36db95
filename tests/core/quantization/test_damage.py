"""What a change of a weight costs."""

import pytest
import torch

from aios_core.contracts import Statistics
from aios_core.quantization.damage import damage


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(7, 12, generator=generator)
    error = 0.1 * torch.randn(7, 12, generator=generator)
    mixing = torch.randn(12, 12, generator=generator)
    x = torch.randn(50, 12, generator=generator) @ mixing
    return weight, error, x


def test_it_is_the_part_of_the_outputs_that_is_lost(case):
    weight, error, x = case
    statistics = Statistics(x.T @ x / len(x), len(x))
    expected = (x @ error.T).square().sum() / (x @ weight.T).square().sum()

    assert pytest.approx(float(expected), rel=1e-4) == damage(weight, weight + error, statistics)
    plain = error.square().sum() / weight.square().sum()
    assert pytest.approx(float(plain), rel=1e-4) == damage(weight, weight + error)


@pytest.mark.parametrize("power", [-110, -80, 80, 100])
def test_sizes_do_not_matter(case, power):
    """Fault T3: squares of tiny numbers are zeros, and a plan must not be fooled by them."""
    weight, error, x = case
    moment = x.T @ x / len(x)
    size = 2.0**power
    for statistics, scaled in (
        (None, None),
        (Statistics(moment, 50), Statistics(moment * size, 50)),
    ):
        expected = damage(weight, weight + error, statistics)
        result = damage(weight * size, (weight + error) * size, scaled)

        assert pytest.approx(expected) == result


def test_nothing_is_lost_of_nothing():
    assert 0 == damage(torch.zeros(3, 4), torch.ones(3, 4))
    assert 0 == damage(torch.ones(0, 4), torch.ones(0, 4))
    assert 0 == damage(torch.ones(3, 4), torch.ones(3, 4), Statistics(torch.eye(4), 1))
