"""The contract of samplers, and what is special about this one."""

import aios_margin
import torch
from aios_margin import Margin
from attrs import frozen

from aios_core.contracts import NoiseScheduler, SamplingContext
from aios_core.diffusion.random import RowRandom
from aios_core.registry import Registry
from aios_core.testing.contracts.sampler import SamplerContract

MASK = 3


class TestMargin(SamplerContract):
    component = Margin


@frozen
class Linear(NoiseScheduler):
    def alpha(self, t):
        return 1 - t


def test_it_is_registered():
    registry = Registry.empty()
    registry.add(aios_margin)

    assert Margin is registry.get("sampler", "margin").load()


def test_it_fills_in_the_clearest_choice_first():
    x = torch.full((1, 2), MASK)
    torn, clear = [0.5, 0.5, 0.0, 0.0], [0.4, 0.3, 0.3, 0.0]
    log_probs = torch.tensor([[torn, clear]], dtype=torch.float64).log()
    context = SamplingContext(
        noise=Linear(),
        mask_id=MASK,
        fixed=torch.zeros_like(x, dtype=torch.bool),
        random=RowRandom([0], 2, "cpu"),
    )
    times = torch.tensor([1.0, 0.5], dtype=torch.float64)

    after = Margin(steps=2).step(x, times[0], times[1], log_probs, context)

    assert MASK == after[0, 0]
    assert MASK != after[0, 1]
