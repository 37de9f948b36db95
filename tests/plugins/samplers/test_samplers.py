"""What only one of the default samplers does; their suite runs in tests/conformance."""

import itertools

import pytest
import torch
from attrs import evolve

from aios_core.testing.contracts.sampler import ROWS, Linear, context, run, walk
from aios_core.testing.oracle import Oracle
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.cosine_mdlm import CosineMDLM
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.samplers._selection import ranks, sureness, sureness_of
from aios_plugins.samplers.analytic import Analytic
from aios_plugins.samplers.ancestral import Ancestral
from aios_plugins.samplers.confidence import Confidence
from aios_plugins.samplers.euler import Euler
from aios_plugins.samplers.first_hitting import FirstHitting


def distance(sampler, oracle):
    return oracle.total_variation(run(sampler, oracle, oracle.prior(ROWS), range(ROWS))[-1])


@pytest.mark.parametrize(
    ("steps", "expected"), [(1, 0.456), (2, 0.309), (5, 0.144), (20, 0.058), (200, 0.037)]
)
def test_error_of_ancestral_sampling(steps, expected):
    """T3: total variation at 20,000 samples, of which 0.037 is the floor of any sampler."""
    assert pytest.approx(expected, abs=0.012) == distance(Ancestral(steps=steps), Oracle())


def test_maskgit_is_biased():
    """T3: drawing before choosing prefers likely tokens; choosing before drawing does not."""
    oracle = Oracle()
    biased = distance(Confidence(selection="sample-then-choose", steps=20), oracle)
    assert pytest.approx(0.589, abs=0.015) == biased
    assert pytest.approx(oracle.floor(ROWS), rel=0.25) == distance(Confidence(steps=20), oracle)


def test_maskgit_is_what_its_paper_says():
    """T3: against the distribution of sample-then-choose, enumerated by hand."""
    oracle = Oracle(vocab=2, length=3)

    def chance(x):
        masked = [i for i, token in enumerate(x) if token == oracle.mask_id]
        if not masked:
            return {tuple(x): 1.0}
        p = oracle(torch.tensor([x]), torch.zeros(1))[0].exp()
        total = {}
        for drawn in itertools.product(range(2), repeat=len(masked)):
            together = float(
                torch.stack([p[i, v] for i, v in zip(masked, drawn, strict=True)]).prod()
            )
            _, i, v = max((float(p[i, v]), i, v) for i, v in zip(masked, drawn, strict=True))
            for text, q in chance([*x[:i], v, *x[i + 1 :]]).items():
                total[text] = total.get(text, 0) + together * q
        return total

    expected = chance([oracle.mask_id] * 3)
    sampler = Confidence(selection="sample-then-choose", steps=12)
    result = oracle.frequencies(run(sampler, oracle, oracle.prior(ROWS), range(ROWS))[-1])
    for text, share in zip(oracle.texts.tolist(), result.tolist(), strict=True):
        assert pytest.approx(expected.get(tuple(text), 0.0), abs=0.015) == share


def test_calls_of_ancestral_sampling():
    """T15: T (1 - (1 - 1/T)^(B L)) calls on average: one for each step that lifts a mask."""
    oracle, calls, runs = Oracle(), 0, 200
    for i in range(runs):
        oracle.nfe = 0
        run(Ancestral(steps=20), oracle, oracle.prior(4), range(4 * i, 4 * i + 4))
        calls += oracle.nfe
    expected = 20 * (1 - (1 - 1 / 20) ** 20)  # 12.8; the standard error of the mean is 0.1
    assert pytest.approx(expected, abs=0.35) == calls / runs


@pytest.mark.parametrize("noise", [Linear(), LogLinear(), Cosine()])
@pytest.mark.parametrize("spacing", ["uniform", "cosine"])
def test_ancestral_masks_follow_the_schedule(noise, spacing):
    """T18: at s a row holds the share (1 - alpha(s)) / (1 - alpha(1)) of its masks."""
    oracle, steps, rows = Oracle(), 8, 12_000
    x = oracle.prior(rows)
    surroundings = evolve(context(oracle, x, range(rows), spacing=spacing), noise=noise)
    states = list(walk(Ancestral(steps=steps), oracle, x, surroundings))
    rate = noise.mask_rate(noise.timesteps(steps, spacing))
    shares = torch.stack([(state == oracle.mask_id).double().mean() for state in states])
    torch.testing.assert_close(shares, rate[1:] / rate[0], atol=0.006, rtol=0)


class Recorded(Oracle):
    """An oracle that remembers when it was asked."""

    def __call__(self, x, t):
        self.asked = [*getattr(self, "asked", []), t]
        return super().__call__(x, t)


@pytest.mark.parametrize("noise", [LogLinear(), LogLinear(eps=0.0)])
def test_first_hitting_times(noise):
    """T20: the k-th of L masks is lifted at time (L + 1 - k) / (L + 1) on average."""
    oracle = Recorded()
    x = oracle.prior(ROWS)
    surroundings = evolve(context(oracle, x, range(ROWS)), noise=noise)
    list(walk(FirstHitting(), oracle, x, surroundings))
    result = torch.stack(oracle.asked).mean(1)
    expected = torch.tensor([5, 4, 3, 2, 1]).double() / 6
    torch.testing.assert_close(result, expected, atol=0.005, rtol=0)


def test_first_hitting_times_of_another_schedule():
    """T20: mask rates are those of order statistics, times follow by the inverse."""
    oracle, noise = Recorded(), Cosine()
    x = oracle.prior(ROWS)
    list(walk(FirstHitting(), oracle, x, evolve(context(oracle, x, range(ROWS)), noise=noise)))
    rate = noise.mask_rate(torch.stack(oracle.asked)).mean(1)
    torch.testing.assert_close(rate, torch.arange(5, 0, -1).double() / 6, atol=0.005, rtol=0)


def test_first_hitting_commits_one_token_a_row_and_call():
    """T17: rows with different numbers of masks, each with its own clock."""
    oracle = Oracle()
    x = oracle.draw(6)
    for i in range(6):
        x[i, :i] = oracle.mask_id
    states = run(FirstHitting(), oracle, x, range(6))
    left = torch.stack([(state == oracle.mask_id).sum(1) for state in [x, *states]])
    steps = torch.arange(6)[:, None]
    assert torch.equal((torch.arange(6) - steps).clamp(min=0), left)
    assert 5 == oracle.nfe


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 17, 64])
@pytest.mark.parametrize("noise", [Linear(), LogLinear(), Cosine()])
def test_quota_is_each_rows_own(noise, steps):
    """T17: after the step to s a row holds the share 1 - alpha(s) of its masks, rounded."""
    oracle = Oracle()
    x = oracle.draw(6)
    for i in range(6):
        x[i, :i] = oracle.mask_id
    surroundings = evolve(context(oracle, x, range(6)), noise=noise)
    sampler = Confidence(steps=steps)
    rate = noise.mask_rate(noise.timesteps(steps))
    required = (torch.arange(6) * rate[1:, None] / rate[0] + 0.5).floor().long()
    for state, expected in zip(walk(sampler, oracle, x, surroundings), required, strict=False):
        assert torch.equal(expected, (state == oracle.mask_id).sum(1))
    assert not (state == oracle.mask_id).any()


def test_confidence_is_not_tempered():
    """T9: a temperature changes what is drawn, never where."""
    oracle = Oracle()
    x = oracle.prior(64)
    warm, cold, frozen_ = (
        run(Confidence(steps=5), oracle, x, range(64), temperature=t)[0] != oracle.mask_id
        for t in (1.0, 0.1, 0.0)
    )
    assert torch.equal(warm, cold)
    assert torch.equal(warm, frozen_)


def test_ties_fall_at_random():
    """T9: with nothing to choose by, every position is as likely to be first."""
    flat = Oracle(sharpness=0.0)
    first = run(Confidence(steps=5), flat, flat.prior(5000), range(5000))[0] != flat.mask_id
    torch.testing.assert_close(
        first.double().mean(0), torch.full((5,), 0.2).double(), atol=0.025, rtol=0
    )


def test_ranks():
    score = torch.tensor([[0.1, 0.9, 0.9, -torch.inf]])
    ties = torch.tensor([[0.5, 0.5, 0.1, 0.2]])
    assert [[2, 1, 0, 3]] == ranks(score, ties).tolist()


@pytest.mark.parametrize("measure", ["margin", "entropy"])
def test_other_measures_are_exact_one_at_a_time(measure):
    """T3: whatever decides the order, if only each token is drawn from its conditional."""
    oracle = Oracle()
    for selection, choice in (("choose-then-sample", 1.0), ("sample-then-choose", 0.0)):
        sampler = Confidence(
            measure=measure, selection=selection, choice_temperature=choice, steps=20
        )
        far = distance(sampler, oracle) / oracle.floor(ROWS)
        if (measure, selection) == ("margin", "sample-then-choose"):
            assert pytest.approx(17.6, abs=0.6) == far, "biased as MaskGIT is"
        else:
            assert far < 1.25


def test_measures():
    p = torch.tensor([[[0.5, 0.3, 0.2], [0.9, 0.1, 0.0]]], dtype=torch.float64)
    drawn = torch.tensor([[1, 0]])
    expected = {
        "probability": ([0.5, 0.9], [0.3, 0.9]),
        "margin": ([0.2, 0.8], [-0.2, 0.8]),
        "entropy": ([-1.029653, -0.325083], [-1.029653, -0.325083]),
    }
    for measure, (of_all, of_drawn) in expected.items():
        result = sureness(p.log(), measure)[0], sureness_of(drawn, p.log(), measure)[0]
        if measure == "probability":
            result = [each.exp() for each in result]
        assert pytest.approx(of_all, abs=1e-6) == result[0].tolist()
        assert pytest.approx(of_drawn, abs=1e-6) == result[1].tolist()


def test_choice_may_be_random():
    """A high temperature of the choice makes any order as likely; the draws stay exact."""
    oracle = Oracle()
    x = oracle.prior(4000)
    states = run(Confidence(steps=5, choice_temperature=1e6), oracle, x, range(4000))
    first = (states[0] != oracle.mask_id).double().mean(0)
    torch.testing.assert_close(first, torch.full((5,), 0.2).double(), atol=0.03, rtol=0)


@pytest.mark.parametrize("noise", [Linear(), LogLinear(), Cosine(), CosineMDLM()])
def test_analytic_is_ancestral_in_other_words(noise):
    """The score of a denoiser gives the posterior of its clean tokens."""
    oracle = Oracle()
    x = oracle.prior(500)
    ends = []
    for sampler in (Analytic(steps=9), Ancestral(steps=9)):
        surroundings = evolve(context(oracle, x, range(500)), noise=noise)
        *_, last = walk(sampler, oracle, x, surroundings)
        ends.append(last)
    # The probabilities agree to rounding, and to alpha(1), which only one of them leaves out.
    assert (ends[0] == ends[1]).double().mean() > 0.995


@pytest.mark.parametrize(("jump", "expected"), [("linear", 1 - 1 / 8), ("exponential", 0.8825)])
def test_euler_lifts_at_the_rate_of_the_start(jump, expected):
    """On a linear schedule the rate is 1 / t: a step of 1/8 from 1 leaves 7/8, or exp(-1/8)."""
    oracle = Oracle()
    x = oracle.prior(8000)
    first = next(walk(Euler(steps=8, jump=jump), oracle, x, context(oracle, x, range(8000))))
    left = (first == oracle.mask_id).double().mean()
    assert pytest.approx(expected, abs=0.006) == float(left)
    assert distance(Euler(steps=200, jump=jump), oracle) < 1.25 * oracle.floor(ROWS)
