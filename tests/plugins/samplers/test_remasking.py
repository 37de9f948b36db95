"""Samplers that take tokens back: what they keep, whatever their rates."""

from itertools import pairwise

import attrs
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_core.testing.contracts.sampler import Linear, context, run, walk
from aios_core.testing.oracle import Oracle
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.noise.polynomial import Polynomial
from aios_plugins.samplers._remasking import shares
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.dfm import DFM
from aios_plugins.samplers.forward_backward import ForwardBackward
from aios_plugins.samplers.psi import Psi
from aios_plugins.samplers.remdm import Cap, Conf, Loop, Rescale

ORACLE = Oracle()
ROWS = 12_000
NOISES = [Linear(), LogLinear(), Cosine(), Polynomial(exponent=0.5)]
BOLD = [
    Cap(eta=0.3),
    Rescale(eta=0.7),
    Loop(eta=0.3),
    Conf(),
    ForwardBackward(),
    ForwardBackward(strength=4.0),
    DFM(),
    Psi(kappa=0.5),
]


@pytest.mark.parametrize("noise", [LogLinear(), Cosine()], ids=lambda n: type(n).__name__)
@pytest.mark.parametrize("sampler", BOLD, ids=lambda s: type(s).__name__)
def test_masks_follow_the_schedule(sampler, noise):
    """T18: the share of masks is (1 - alpha(s)) / (1 - alpha(1)), however much is taken back."""
    sampler = attrs.evolve(sampler, steps=9)
    x = ORACLE.prior(ROWS)
    surroundings = evolve(context(ORACLE, x, range(ROWS)), noise=noise)
    states = list(walk(sampler, ORACLE, x, surroundings))
    result = torch.stack([(state == ORACLE.mask_id).double().mean() for state in states])
    times = sampler.times(surroundings) if hasattr(sampler, "times") else noise.timesteps(9)
    rate = noise.mask_rate(times)
    torch.testing.assert_close(result, rate[1:] / rate[0], atol=0.008, rtol=0)
    taken = sum(
        int(((a != ORACLE.mask_id) & (b == ORACLE.mask_id)).sum()) for a, b in pairwise(states)
    )
    assert taken > ROWS // 10, "nothing was taken back"


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(NOISES), st.data())
def test_probabilities_are_probabilities(noise, data):
    """T18: for all settings, and any step of the schedule."""
    share = st.floats(0, 1)
    sampler = data.draw(
        st.one_of(
            st.builds(Cap, eta=share),
            st.builds(Rescale, eta=share),
            st.builds(Psi, kappa=share),
            st.builds(ForwardBackward, strength=st.floats(0, 1e6)),
            st.builds(DFM, strength=st.floats(0, 1e6), late=st.floats(0, 4), early=st.floats(0, 4)),
        )
    )
    s, t = sorted(data.draw(st.tuples(share, st.floats(1e-6, 1))))
    surroundings = evolve(context(ORACLE, ORACLE.prior(1), [0]), noise=noise)
    t, s = (torch.tensor(each, dtype=torch.float64) for each in (t, s))
    for probability in sampler.rates(t, s, surroundings):
        assert -1e-9 <= probability <= 1 + 1e-9


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(1, 2**20))
def test_probabilities_of_conf(eta, first, second, number):
    """T18: each in [0, 1], and as much lifted more as is taken back, on average."""
    after, before = sorted((first, second))
    before = max(before, 1e-6)
    generator = torch.Generator().manual_seed(number)
    x = ORACLE.draw(3, seed=number)
    x = x.masked_fill(torch.rand(x.shape, generator=generator) < 0.5, ORACLE.mask_id)
    surroundings = evolve(context(ORACLE, x, range(3)), fixed=torch.zeros_like(x).bool())
    probability = torch.rand(x.shape, generator=generator, dtype=torch.float64)
    before, after = (torch.tensor(each, dtype=torch.float64) for each in (before, after))
    stay, back = Conf(eta=eta).rates(x, probability, before, after, surroundings)
    masked = x == ORACLE.mask_id
    assert ((stay >= -1e-12) & (stay <= 1)).all()
    assert ((back >= 0) & (back <= 1)).all()
    assert not back[masked].any()
    masks = masked.sum(-1)
    torch.testing.assert_close(masks * stay[:, 0] + back.sum(-1), masks * after / before)


@pytest.mark.parametrize(
    "sampler",
    [Cap(eta=0.0), Rescale(eta=0.0), Conf(eta=0.0), ForwardBackward(0.0), DFM(0.0), Psi(1.0)],
    ids=lambda s: type(s).__name__,
)
def test_without_remasking_they_are_ancestral(sampler):
    """T3: the same text, token by token."""
    ends = [
        run(attrs.evolve(each, steps=10), ORACLE, ORACLE.prior(64), range(64))[-1]
        for each in (sampler, Ancestral())
    ]
    same = (ends[0] == ends[1]).double().mean()
    assert same > 0.99  # the probabilities may differ in their last bit


def test_conf_takes_back_what_was_least_probable():
    """The softmax of minus the probability that a token had when it was drawn."""
    x = torch.tensor([[0, 1, 3, 2, 3]])
    surroundings = evolve(context(ORACLE, x, [0]), fixed=torch.tensor([[1, 0, 0, 0, 0]]).bool())
    probability = torch.tensor([[0.1, 0.9, 1.0, 0.2, 1.0]], dtype=torch.float64)
    half = torch.tensor(0.5, dtype=torch.float64)
    _, back = Conf().rates(x, probability, half, 0.8 * half, surroundings)
    weight = torch.tensor([-0.9, -0.2], dtype=torch.float64).softmax(0)
    # The limit is min(1, 0.4 / 0.5) in a row of two masks.
    expected = torch.tensor([[0, 0.8 * weight[0], 0, 0.8 * weight[1], 0]], dtype=torch.float64)
    torch.testing.assert_close(back, expected)


@pytest.mark.parametrize("noise", NOISES, ids=lambda n: type(n).__name__)
def test_loop_holds_the_number_of_masks(noise):
    """Down to a tenth before t_on, there until t_off, and down to nothing."""
    surroundings = evolve(context(ORACLE, ORACLE.prior(1), [0]), noise=noise)
    times = Loop(steps=20, t_on=0.5, t_off=0.2).times(surroundings)
    assert 1 == times[0]
    assert 0 == times[-1]
    assert (times.diff() <= 0).all()
    grid = noise.timesteps(20)
    held = (grid <= 0.5) & (grid >= 0.2)
    share, _ = shares(times[held], times[held], surroundings)
    torch.testing.assert_close(share, torch.full_like(share, 0.1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("noise", [Linear(), Cosine()], ids=lambda n: type(n).__name__)
def test_loop_follows_the_schedule_before_and_after(noise):
    """Scaled: from all masks to a tenth until t_on, from a tenth to none after t_off."""
    surroundings = evolve(context(ORACLE, ORACLE.prior(1), [0]), noise=noise)
    times = Loop(steps=20, t_on=0.5, t_off=0.2, alpha_on=0.9).times(surroundings)

    def rate(t):
        return float(noise.mask_rate(torch.tensor(t).double()))

    for place, time in enumerate(times.tolist()):
        t = 1 - place / 20
        if t > 0.5 + 1e-9:
            expected = 1 - 0.9 * (1 - rate((t - 0.5) / 0.5))
        else:
            expected = 0.1 * rate(min(1.0, t / 0.2))
        assert pytest.approx(expected, abs=1e-6) == rate(time)
    Loop(t_on=0.3, t_off=0.3)


def test_loop_must_end_after_it_begins():
    with pytest.raises(ValueError, match="at most t_on"):
        Loop(t_on=0.3, t_off=0.4)


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [(Cap(eta=0.05), 0.06), (Rescale(eta=0.5), 0.06), (Conf(), 0.10), (Psi(kappa=0.8), 0.06)],
)
def test_taking_back_costs_exactness(sampler, expected):
    """T3: total variation in 60 steps, where ancestral sampling is at 0.045 and the floor 0.037."""
    rows = 20_000
    ids = run(attrs.evolve(sampler, steps=60), ORACLE, ORACLE.prior(rows), range(rows))[-1]
    assert pytest.approx(expected, abs=0.02) == ORACLE.total_variation(ids)
