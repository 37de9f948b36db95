"""Rates and draws of samplers against their formulas, worked out a second time in plain numbers."""

import math
from itertools import pairwise

import attrs
import pytest
import torch
from attrs import evolve

from aios_core.diffusion.core import MASKED, DiffusionCore
from aios_core.testing.conformance import tokens
from aios_core.testing.contracts.sampler import Linear, context, walk
from aios_core.testing.oracle import NoisyOracle, Oracle
from aios_plugins.corruptions.hybrid import Hybrid
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.noise.md4_clipped import MD4Clipped
from aios_plugins.samplers._remasking import RemaskingSampler, shares
from aios_plugins.samplers.confidence import Confidence
from aios_plugins.samplers.ddim import DDIM
from aios_plugins.samplers.dfm import DFM
from aios_plugins.samplers.forward_backward import ForwardBackward
from aios_plugins.samplers.psi import Psi
from aios_plugins.samplers.remdm import Cap, Conf, Loop, Rescale

ORACLE = Oracle()
SAMPLERS = tokens("sampler")
RATES = {LogLinear(): lambda t: 0.999 * t, Cosine(): lambda t: math.sin(math.pi / 2 * t)}


def _limit(before, after):
    return min(1, after / (1 - before)) if after and before < 1 else float(after > 0)


BACK = [
    (Cap(eta=0.3), lambda t, s, m, n: 0.3),
    (Rescale(eta=0.7), lambda t, s, m, n: 0.7 * _limit(m, n)),
    (ForwardBackward(strength=0.5), lambda t, s, m, n: 0.5 * (m - n) / (1 - m)),
    (ForwardBackward(strength=2.0), lambda t, s, m, n: 2 * (m - n) / (1 - m)),
    (
        DFM(strength=3.0, late=0.5, early=2.0),
        lambda t, s, m, n: 3 * t**0.5 * (1 - t) ** 2 * (m - n) / (1 - m),
    ),
    (Psi(kappa=0.8), lambda t, s, m, n: 0.2 * n),
    (Loop(eta=0.4), lambda t, s, m, n: 0.4 * (t == s)),
]


def test_every_sampler_that_takes_back_is_here():
    known = {type(sampler) for sampler, _ in BACK}
    assert known == {cls for cls in SAMPLERS.values() if issubclass(cls, RemaskingSampler)}


@pytest.mark.parametrize("noise", RATES, ids=repr)
@pytest.mark.parametrize(
    ("t", "s"), [(0.9, 0.85), (0.8, 0.3), (0.5, 0.5), (0.4, 0.1), (0.2, 0.19), (0.3, 0.0)]
)
@pytest.mark.parametrize(("sampler", "back"), BACK, ids=[repr(each) for each, _ in BACK])
def test_rates_are_those_of_the_formula(sampler, back, t, s, noise):
    """T18: of m(t), the share of masks; what is taken back is made up for by what is lifted."""
    rate = RATES[noise]
    before, after = rate(t) / rate(1), rate(s) / rate(1)
    surroundings = evolve(context(ORACLE, ORACLE.prior(1), [0]), noise=noise)
    times = (torch.tensor(each, dtype=torch.float64) for each in (t, s))
    stay, taken = sampler.rates(*times, surroundings)
    expected = min(back(t, s, before, after), _limit(before, after))
    assert pytest.approx(expected, abs=1e-12) == float(taken)
    assert pytest.approx((after - expected * (1 - before)) / before, abs=1e-12) == float(stay)


SCORES = {
    "probability": lambda p: p.max(-1).values.log(),
    "margin": lambda p: p.topk(2).values[..., 0] - p.topk(2).values[..., 1],
    "entropy": lambda p: (p * p.log()).sum(-1),
}


@pytest.mark.parametrize("measure", SCORES)
@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_the_choice_of_positions_is_a_softmax(measure, temperature):
    """Which position is first is drawn from softmax(confidence / T): Gumbel noise, its sign too."""
    rows = 20_000
    p = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.34, 0.33, 0.33]], dtype=torch.float64)
    log_probs = torch.cat((p.log(), torch.full((3, 1), -torch.inf)), -1).expand(rows, -1, -1)
    x = torch.full((rows, 3), 3)
    surroundings = context(ORACLE, x, range(rows))
    t, s = torch.tensor(1.0).double(), torch.tensor(2 / 3).double()
    sampler = Confidence(measure=measure, choice_temperature=temperature)
    new = sampler.step(x, t, s, log_probs.contiguous(), surroundings)
    result = (new != 3).double()
    assert (result.sum(-1) == 1).all()
    expected = (SCORES[measure](p) / temperature).softmax(-1)
    error = (expected * (1 - expected) / rows).sqrt()
    assert ((result.mean(0) - expected).abs() < 4 * error).all(), (result.mean(0), expected)


class Moody:
    """Says something else each time that it is asked."""

    time_conditioned = True

    def __init__(self):
        self.answers = []

    def __call__(self, x, t):
        source = torch.Generator().manual_seed(len(self.answers))
        answer = torch.randn(*x.shape, 4, generator=source, dtype=torch.float64)
        answer[..., 3] = -torch.inf
        answer = answer.log_softmax(-1)
        certain = torch.nn.functional.one_hot(x, 4).double().log()
        self.answers.append(torch.where((x == 3)[..., None], answer, certain))
        return self.answers[-1].clone()


def test_conf_remembers_how_probable_a_token_was_when_it_was_drawn():
    """Not what the network says of it today, which is 1, or says if it is hidden again."""
    reports = []

    class Spy(Conf):
        def rates(self, x, probability, before, after, surroundings):
            reports.append((x, probability.clone()))
            return super().rates(x, probability, before, after, surroundings)

    denoiser, x = Moody(), torch.full((16, 5), 3)
    surroundings = context(ORACLE, x, range(16))
    states = [x, *walk(Spy(steps=12), denoiser, x, surroundings)]
    expected = torch.ones(16, 5, dtype=torch.float64)
    for number, (seen, probability) in enumerate(reports):
        assert torch.equal(states[number], seen)
        held = seen != 3
        torch.testing.assert_close(probability[held], expected[held])
        new = states[number + 1]
        drawn = (new != 3) & ~held
        said = denoiser.answers[number].gather(-1, new[..., None])[..., 0].exp()
        expected = torch.where(drawn, said, expected)
    assert any(((a != 3) & (b == 3)).any() for a, b in pairwise(states))


@pytest.mark.parametrize("block_size", [None, 3])
@pytest.mark.parametrize("name", [name for name, cls in SAMPLERS.items() if cls.remasks])
def test_a_mask_has_neither_confidence_nor_entropy(name, block_size):
    """Also one that was a token: what was said of that token is forgotten with it."""
    cls, oracle = SAMPLERS[name], Oracle(seed=2)
    bold = {"eta": 0.6, "strength": 3.0, "kappa": 0.4}
    bold = {key: value for key, value in bold.items() if key in attrs.fields_dict(cls)}
    core = DiffusionCore(oracle, cls(steps=12, **bold), Linear(), 3, block_size=block_size)
    back = 0
    before = None
    for state in core.stream(oracle.prior(32), seeds=range(32)):
        masked = state.ids == 3
        assert not state.entropy[masked].any()
        assert not state.confidence[masked].any()
        assert (state.committed_at[masked] == MASKED).all()
        assert not state.committed[masked].any()
        assert (state.confidence[~masked] > 0).all()
        if before is not None:
            back += int((masked & ~before).sum())
        before = masked
    assert back, "nothing was taken back"


@pytest.mark.parametrize(
    "sampler", [Psi(kappa=0.0), DDIM()], ids=lambda value: type(value).__name__
)
def test_a_step_under_other_noise_is_that_of_the_formula(sampler):
    """From one state, the share of each token at each position; masks fade unlike tokens."""
    rows, oracle = 20_000, NoisyOracle(Hybrid(uniform=0.3), Linear(), length=3)
    process, x = oracle.process, torch.tensor([[0, 3, 1]])
    t, s = (torch.tensor(number, dtype=torch.float64) for number in (0.7, 0.4))
    many = x.expand(rows, -1).contiguous()
    around = evolve(
        context(oracle, many, range(rows)),
        process=process,
        noise=Linear(),
        fixed=torch.zeros_like(many).bool(),
    )
    said = oracle(x, t[None])
    new = sampler.step(many, t, s, said.expand(rows, -1, -1).contiguous(), around)
    now, before = process.mass(1 - t), process.mass(1 - s)
    here = torch.nn.functional.one_hot(x[0], 4).double()
    # A clean token given its own position too: its chance there by Bayes' rule.
    guess = (said[0].exp() * (0.3 * here + now[x[0]][:, None])).nan_to_num()
    guess /= guess.sum(-1, keepdim=True)
    if isinstance(sampler, Psi):
        expected = 0.6 * guess + before
    else:
        keep = float((before / now)[now > 0].min())
        expected = keep * here + (0.6 - keep * 0.3) * guess + (before - keep * now)

    torch.testing.assert_close(expected.sum(-1), torch.ones(3).double())
    result = torch.nn.functional.one_hot(new, 4).double().mean(0)
    error = (expected * (1 - expected) / rows).sqrt()
    assert ((result - expected).abs() <= 4.5 * error + 1e-9).all(), (result, expected)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, sampler in SAMPLERS.items()
        if hasattr(sampler, "step") and not sampler.absorbing_only
    ],
)
def test_a_step_leaves_alone_what_is_fixed(name):
    """Under other noise any token may change, and only a flag says which must not."""
    rows, oracle = 500, NoisyOracle(Hybrid(uniform=0.3), Linear(), length=3)
    x = torch.tensor([[0, 3, 1]]).expand(rows, -1).contiguous()
    fixed = torch.tensor([[True, False, False]]).expand(rows, -1)
    around = evolve(
        context(oracle, x, range(rows)), process=oracle.process, noise=Linear(), fixed=fixed
    )
    t, s = (torch.tensor(number, dtype=torch.float64) for number in (0.9, 0.5))
    said = oracle(x[:1], t[None]).expand(rows, -1, -1).contiguous()
    new = SAMPLERS[name]().step(x, t, s, said, around)

    assert {0} == set(new[:, 0].tolist())
    assert len(new[:, 2].unique()) > 1


def test_shares_of_masks_begin_with_all_and_end_with_none():
    """Whatever of either a schedule leaves at its ends: sampling goes from masks to a text."""
    x, noise = torch.full((1, 4), 3), MD4Clipped(eps=1e-3)
    around = evolve(context(ORACLE, x, [0]), noise=noise)
    t, half, s = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)

    assert (1.0, 0.0) == tuple(map(float, shares(t, s, around)))
    assert pytest.approx(0.5 / 0.999) == float(shares(half, s, around)[0])


STEPS = {"steps": 64}
DEFAULTS = {
    "analytic": STEPS,
    "ancestral": STEPS,
    "confidence": STEPS
    | {"measure": "probability", "selection": "choose-then-sample", "choice_temperature": 0},
    "credit": {"tau": 0.9, "weight": 0.7, "exponent": 0.2, "decay": 0.8},
    "ddim": STEPS,
    "dfm": STEPS | {"strength": 10, "late": 0.25, "early": 0.25},
    "entropy-bounded": {"gamma": 0.1},
    "euler": STEPS | {"jump": "linear"},
    "factor": {"factor": 1},
    "first-hitting": {},
    "forward-backward": STEPS | {"strength": 1},
    "hierarchical": {"tau": 0.9},
    "psi": STEPS | {"kappa": 0.98},
    "remdm-cap": STEPS | {"eta": 0.04},
    "remdm-conf": STEPS | {"eta": 1},
    "remdm-loop": STEPS | {"eta": 0.02, "t_on": 0.55, "t_off": 0.05, "alpha_on": 0.9},
    "remdm-rescale": STEPS | {"eta": 0.04},
    "threshold": {"tau": 0.9},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_is_unset_stays_what_it_was(name):
    """A configuration that leaves it out samples as before."""
    assert DEFAULTS[name] == attrs.asdict(SAMPLERS[name]())
