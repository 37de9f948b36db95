"""The learned schedule, once it has learned."""

import math

import pytest
import torch

from aios_core.config import resolve
from aios_core.contracts import Sequences, Vocabulary
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import nelbo, training_loss
from aios_core.diffusion.random import RowRandom
from aios_core.diffusion.times import draw_times
from aios_core.testing.contracts.noise import NoiseContract
from aios_plugins.noise.learned import Learned

VOCABULARY = Vocabulary(size=7, mask_id=3, pad_id=4, bos_id=5, eos_id=6)


def taught(rule, steps=400, bins=8):
    """A schedule that was shown the loss w(t) g(mask rate), as an objective would give it."""
    module = Learned(bins=bins).build()
    optimiser = torch.optim.Adam(module.parameters(), lr=0.05)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        times = draw_times(64, generator, epsilon=1e-4)[:, None]
        losses = (-module.alpha_prime(times) * rule(module.mask_rate(times)))[:, 0]
        optimiser.zero_grad()
        module.surprise(times, losses).backward()
        optimiser.step()
    return module


def uneven(rate):
    """A loss without its weight: nine tenths of it at low mask rates."""
    return torch.where(rate < 0.25, 9.0, 1.0)


TAUGHT = taught(uneven)


class TestTaught(NoiseContract):
    """T1, T2: whatever it learned, it is a schedule, and the bound is the likelihood."""

    component = taught(lambda rate: 3 - 2 * rate, steps=100)


def test_time_goes_where_the_loss_is():
    """Density in proportion to the loss: 9/4 against 3/4 of the time."""
    quarter = TAUGHT.inverse(torch.tensor(0.75).double())
    assert pytest.approx(0.75, abs=0.03) == float(quarter)


def test_variance_falls():
    """Which is what it is for; the mean, an integral over mask rates, stays."""

    def moments(schedule):
        t = (torch.arange(20_000).double() + 0.5) / 20_000
        losses = -schedule.alpha_prime(t) * uneven(schedule.mask_rate(t))
        return float(losses.mean()), float(losses.var())

    (mean, before), (same, after) = moments(Learned().build()), moments(TAUGHT)
    assert pytest.approx(mean, rel=1e-3) == same
    assert after < 0.15 * before


X = torch.tensor([[0, 1, 2, 0]]).expand(8, -1)
TEXTS = Sequences(X, torch.ones_like(X).bool())


def streams():
    return RowRandom.numbered(1, range(8), 4)


def test_it_is_part_of_the_network():
    """Trained, saved and averaged with it, while the loss and its own gradient are untouched."""
    config = resolve(
        {"noise": {"type": "learned"}, "backbone": {"dim": 8, "layers": 1, "heads": 2}}
    ).config
    model = Model.build(config, VOCABULARY)
    assert "noise.logits" in model.state_dict()
    times = draw_times(8, torch.Generator())[:, None]
    loss = training_loss(model, TEXTS, times, streams())
    loss.backward()
    assert model.noise.logits.grad.any()
    plain = Model.build(
        resolve({"backbone": {"dim": 8, "layers": 1, "heads": 2}}).config, VOCABULARY
    )
    plain.noise = Learned()
    expected = training_loss(plain, TEXTS, times, streams())
    torch.testing.assert_close(loss, expected)
    expected.backward()
    ours, theirs = dict(model.named_parameters()), dict(plain.named_parameters())
    for name, parameter in theirs.items():
        torch.testing.assert_close(ours[name].grad, parameter.grad)
    assert (
        "noise.logits"
        not in Model.build(
            resolve({"mode": "ar", "noise": {"type": "learned"}}).config, VOCABULARY
        ).state_dict()
    )


def test_surprise_is_of_squared_losses_and_of_the_shares_of_time():
    """By hand: two pieces, of 0.725 and 0.275 of the time, and losses of 1 and 3."""
    module = Learned(bins=2).build()
    module.logits.data = torch.tensor([3.0, 1.0]).log()
    times = torch.tensor([[0.1, 0.5], [0.9, 0.8]]).double()

    result = module.surprise(times, torch.tensor([1.0, 3.0]))

    early, late = 2 / 10 * math.log(0.725), 18 / 10 * math.log(0.275)
    assert pytest.approx(-(early + late) / 2) == result.item()
    assert pytest.approx(0.5) == module.mask_rate(torch.tensor(0.725).double()).item()


def test_a_step_of_training_teaches_it_to_be_less_surprised():
    """The gradient is that of its surprise at the losses of the rows, and of nothing else."""
    config = resolve(
        {"noise": {"type": "learned"}, "backbone": {"dim": 8, "layers": 1, "heads": 2}}
    ).config
    model = Model.build(config, VOCABULARY)
    times = draw_times(8, torch.Generator())[:, None]
    training_loss(model, TEXTS, times, streams()).backward()
    result = model.noise.logits.grad.clone()
    losses = nelbo(model, TEXTS, times, streams()).detach()
    model.zero_grad()
    model.noise.surprise(times, losses).backward()

    assert result.abs().max() > 1e-3
    torch.testing.assert_close(result, model.noise.logits.grad)
