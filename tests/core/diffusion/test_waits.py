"""How often a step of sampling makes the host wait for its device."""

import warnings
from contextlib import contextmanager, nullcontext

import attrs
import pytest
import torch

from aios_core.diffusion.core import DiffusionCore
from aios_core.testing.conformance import tokens
from aios_core.testing.counter import Counter
from aios_plugins.corruptions.absorbing import Absorbing
from aios_plugins.corruptions.uniform import Uniform
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers.threshold import Threshold

SAMPLERS = tokens("sampler")
MASK, LENGTH = 3, 12
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")


def waits(model, sampler, around=nullcontext, **settings):
    """Times that the host waited from the second step on, and how many steps these were.

    Args:
        model: on any device.
        sampler: with its settings.
        around: a context of those steps.
        **settings: of the loop.
    """
    core = DiffusionCore(model, sampler, LogLinear(), MASK, **settings)
    with Counter() as counter:
        states = core.stream(torch.full((1, LENGTH), MASK, device=model.device), seeds=[0])
        next(states)
        next(states)
        before = counter.syncs
        with around():
            steps = sum(1 for _ in states)
    return counter.syncs - before, steps


def allowed(name, sampler, steps):
    """Once for what became of a step, once for how many rows are drawn; and once in the end."""
    return (2 + sampler.remasks + (name in {"remdm-conf", "credit"})) * steps + 1


def build(cls):
    return cls(steps=8) if "steps" in attrs.fields_dict(cls) else cls()


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_step_waits_twice_at_most(small_model, name):
    """Once for what became of it, once for how many rows are drawn; and once in the end.

    One that takes tokens back does not know from either how many came.
    """
    sampler = build(SAMPLERS[name])
    result, steps = waits(small_model(), sampler)
    assert steps > 3
    assert result <= allowed(name, sampler, steps)


@pytest.mark.parametrize("name", ["ancestral", "ddim"])
def test_under_other_noise_it_waits_once(small_model, name):
    model = small_model(corruption=Uniform())
    result, steps = waits(model, build(SAMPLERS[name]))
    assert 7 == steps
    assert result <= steps + 2


def test_in_blocks_it_waits_thrice(small_model):
    """And a little at the start of each of the four blocks."""
    result, steps = waits(small_model(), Threshold(tau=0.9), block_size=3, temperature=0)
    assert result <= 3 * steps + 2 * 4 + 1


@CUDA
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in SAMPLERS),
        *((name, {"block_size": 3}) for name in SAMPLERS),
    ],
)
@pytest.mark.parametrize("corruption", [Absorbing(), Uniform()], ids=["masks", "uniform"])
def test_a_card_makes_the_texts_of_the_processor(small_model, corruption, name, settings):
    """Row by row the same draws, in float64, whatever lies on the host and whatever on the card.

    But for samplers that rank positions: among masks alone all are equal, and rounding ranks them.
    """
    if SAMPLERS[name].exact not in {"always", "in the limit"}:
        pytest.skip("this sampler ranks what is equal")
    if corruption != Absorbing() and (settings or SAMPLERS[name].absorbing_only):
        pytest.skip("blocks, and this sampler, work with masks alone")
    model, sampler = small_model(corruption=corruption), build(SAMPLERS[name])
    x = torch.full((3, LENGTH), MASK)
    made = {}
    for device in ("cpu", "cuda"):
        core = DiffusionCore(model.to(device), sampler, LogLinear(), MASK, **settings)
        made[device] = core.sample(x.to(device), seeds=range(3))
    assert torch.equal(made["cpu"].ids, made["cuda"].ids.cpu())
    assert made["cpu"].nfe == made["cuda"].nfe
    torch.testing.assert_close(made["cpu"].confidence, made["cuda"].confidence.cpu())


@CUDA
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_card_is_waited_for_as_counted(small_model, name):
    """What the driver calls a wait, against what the operators of the same steps say.

    Of the same: rounding ranks what is equal, so a processor may take other steps, and more or
    fewer of them. What is counted keeps the bound that it keeps there.
    """
    sampler = build(SAMPLERS[name])

    @contextmanager
    def driver():
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        counted, steps = waits(small_model().to("cuda"), sampler, driver)
    assert steps > 1
    assert sum("synchronizing CUDA" in str(each.message) for each in caught) <= counted + 1
    assert counted <= allowed(name, sampler, steps)


@CUDA
def test_what_was_expanded_is_placed_on_a_card(small_model):
    model = small_model().to("cuda")
    placed = model.place(torch.tensor([0.5]).expand(3))
    assert [0.5] * 3 == placed.tolist()
