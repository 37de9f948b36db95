import pytest
import torch

from aios_core.contracts import Weight
from aios_plugins.optimizers.adamw import AdamW


@pytest.mark.filterwarnings("ignore")  # torch's own, about its compiler
def test_is_torchs_bit_for_bit():
    """With the decay for matrices alone, and betas that are set."""
    generator = torch.Generator().manual_seed(0)
    roles = {"matrix": (4, 3), "head": (3, 4), "embedding": (5, 2), "vector": (3,)}
    ours = [Weight(role, torch.full(shape, 0.5), role) for role, shape in roles.items()]
    theirs = [weight.tensor.clone() for weight in ours]
    stepper = AdamW(beta1=0.8, beta2=0.95).build(ours, weight_decay=0.1)
    expected = torch.optim.AdamW(
        [
            {"params": theirs[:2], "weight_decay": 0.1},
            {"params": theirs[2:], "weight_decay": 0.0},
        ],
        betas=(0.8, 0.95),
        lr=0.01,
    )
    for _ in range(3):
        for weight, other in zip(ours, theirs, strict=True):
            weight.tensor.grad = torch.randn(weight.tensor.shape, generator=generator)
            other.grad = weight.tensor.grad.clone()
        stepper.step(0.01)
        expected.step()

        for weight, other in zip(ours, theirs, strict=True):
            assert weight.tensor.equal(other)
    for weight, other in zip(ours, theirs, strict=True):
        for key, value in expected.state[other].items():
            assert value.equal(stepper.state[f"{weight.name}.{key}"])
