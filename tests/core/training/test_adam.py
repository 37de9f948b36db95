"""The optimiser against torch's."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from aios_core.training.adam import AdamStepper, Group


@pytest.mark.filterwarnings("ignore")  # torch's own, about its compiler
@pytest.mark.parametrize("fused", [False, True])
def test_is_torchs_bit_for_bit(fused):
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (
        [nn.Parameter(torch.full(shape, 0.5)) for shape in ((4, 3), (3,), (2,))] for _ in range(2)
    )
    groups = [Group(ours[:1], 0.1), Group(ours[1:], 0.0)]
    optimizer = AdamStepper.of(groups, (0.9, 0.98), fused=fused)
    expected = torch.optim.AdamW(
        [{"params": theirs[:1], "weight_decay": 0.1}, {"params": theirs[1:], "weight_decay": 0.0}],
        betas=(0.9, 0.98),
        fused=fused,
    )
    for step in range(3):
        for weight, other in zip(ours[:2], theirs[:2], strict=True):  # the third has no gradient
            weight.grad = torch.randn(weight.shape, generator=generator)
            other.grad = weight.grad.clone()
        optimizer.step(0.01 * (step + 1))
        for group in expected.param_groups:
            group["lr"] = 0.01 * (step + 1)
        expected.step()

        for weight, other in zip(ours, theirs, strict=True):
            assert weight.equal(other)
            for key, value in expected.state[other].items():
                assert value.equal(optimizer.moments[weight][key])


def test_no_compiler_is_imported():
    code = """
import sys, torch
from aios_core.training.adam import AdamStepper, Group
AdamStepper.of([Group([torch.nn.Parameter(torch.ones(2))], 0.1)]).step(0.1)
assert "torch._dynamo" not in sys.modules
"""

    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
