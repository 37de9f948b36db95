"""The bound of so many steps falls to the one of continuous time."""

import pytest
import torch

from aios_core.contracts import Sequences
from aios_core.diffusion.objective import estimate
from aios_core.diffusion.random import RowRandom
from aios_core.testing.contracts.sampler import Linear
from aios_core.testing.oracle import Oracle
from aios_plugins.objectives.d3pm import D3PM
from aios_plugins.objectives.nelbo import Nelbo


def test_more_steps_are_a_lower_bound():
    """On the mean over all texts; for a single one it need not hold."""
    oracle, rows = Oracle(length=3), 50_000
    model, spread = oracle.model(Linear()), (torch.arange(rows).double() + 0.5) / rows
    x0 = oracle.texts[torch.searchsorted(oracle.log_joint.exp().cumsum(0), spread)]
    times = spread[torch.randperm(rows, generator=torch.Generator().manual_seed(0))][:, None]

    def bound(objective):
        texts = Sequences(x0, torch.ones(rows, 3, dtype=torch.bool))
        random = RowRandom.numbered(0, range(rows), 3)
        losses = estimate(model, texts, times, random, objective=objective)
        return float(losses.mean())

    bounds = [bound(D3PM(steps=steps)) for steps in (1, 4, 1000)]

    assert bounds == sorted(bounds, reverse=True)
    assert pytest.approx(bound(Nelbo()), rel=0.02) == bounds[-1]
    assert bounds[0] > 1.02 * bounds[-1]
