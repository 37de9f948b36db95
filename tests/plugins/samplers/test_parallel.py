"""Samplers that fill in as much at once as the prediction allows."""

import itertools
import math

import pytest
import torch
from attrs import evolve, frozen

from aios_core.contracts import AdaptiveSampler
from aios_core.testing.contracts.sampler import ROWS, context, run, walk
from aios_core.testing.oracle import Oracle
from aios_plugins.noise.cosine import Cosine
from aios_plugins.samplers.credit import Credit
from aios_plugins.samplers.entropy_bounded import EntropyBounded
from aios_plugins.samplers.factor import Factor
from aios_plugins.samplers.hierarchical import Hierarchical
from aios_plugins.samplers.threshold import Threshold

MASK = 3


def distributions(surest, vocab=3):
    """Log-probabilities (1, L, V + 1) whose likeliest tokens have the given probabilities."""
    p = torch.tensor(surest, dtype=torch.float64)[:, None]
    rest = (1 - p).expand(-1, vocab - 1) / (vocab - 1)
    return torch.cat((p, rest, torch.zeros_like(p)), 1).log()[None]


def chosen(sampler, surest, masked=None):
    log_probs = distributions(surest)
    x = torch.full((1, len(surest)), MASK)
    if masked is not None:
        x = x.masked_fill(~torch.tensor([masked]).bool(), 0)
    surroundings = context(Oracle(), x, [0])
    masked = surroundings.masked(x)
    return (sampler.choose(masked, log_probs, surroundings) & masked)[0].int().tolist()


def test_threshold_takes_all_that_is_sure():
    assert [1, 0, 1, 0] == chosen(Threshold(tau=0.9), [0.9, 0.89, 0.99, 0.5])
    assert [0, 0, 0, 0] == chosen(Threshold(tau=0.9), [0.8, 0.89, 0.7, 0.5])


def test_factor_asks_more_of_more():
    """1 - 1/2 of one, 1 - 1/3 of two, 1 - 1/4 of three; the first that fails ends it."""
    assert [1, 1, 1, 0] == chosen(Factor(factor=1.0), [0.95, 0.8, 0.76, 0.6])
    assert [1, 0, 0, 0] == chosen(Factor(factor=1.0), [0.95, 0.65, 0.65, 0.6])
    assert [0, 1, 0, 0] == chosen(Factor(factor=1.0), [0.95, 0.9, 0.6, 0.6], masked=[0, 1, 1, 1])
    assert [1, 1, 0, 0] == chosen(Factor(factor=0.0), [1.0, 1.0, 0.99, 0.6]), "what is certain"


def test_hierarchical_divides_each_gap():
    """The surest of each run of masks, and what is sure by itself."""
    gaps = [1, 1, 0, 1, 0, 0, 1, 1, 1]
    surest = [0.5, 0.6, 1.0, 0.4, 1.0, 1.0, 0.7, 0.95, 0.92]
    assert [0, 1, 0, 1, 0, 0, 0, 1, 1] == chosen(Hierarchical(tau=0.9), surest, gaps)
    assert [0, 1, 0, 1, 0, 0, 0, 1, 0] == chosen(Hierarchical(tau=1.0), surest, gaps)


def test_hierarchical_breaks_ties_at_random():
    oracle = Oracle(sharpness=0.0)
    states = run(Hierarchical(), oracle, oracle.prior(4000), range(4000))
    first = (states[0] != oracle.mask_id).double()
    assert torch.equal(torch.ones(4000).double(), first.sum(1))
    torch.testing.assert_close(
        first.mean(0), torch.full((5,), 0.2, dtype=torch.float64), atol=0.03, rtol=0
    )


def test_entropy_bound():
    """As many, from the lowest entropy on, as have a sum without the last of at most gamma."""
    surest = [0.99, 0.7, 0.95, 0.5]
    p = distributions(surest)[0].exp()
    entropy = sorted(torch.special.entr(p).sum(-1).tolist())
    by_entropy = [0, 2, 1, 3]
    for gamma in (0.0, 0.05, entropy[0] + 1e-9, entropy[0] + entropy[1] + 1e-9, 0.3, 9.0):
        allowed = [k for k in range(1, 5) if sum(entropy[:k]) - max(entropy[:k]) <= gamma]
        expected = [int(i in by_entropy[: allowed[-1]]) for i in range(4)]
        assert expected == chosen(EntropyBounded(gamma=gamma), surest)
    assert [0, 1, 0, 0] == chosen(EntropyBounded(gamma=0.0), surest, masked=[0, 1, 0, 1])


def test_certain_positions_come_for_nothing():
    """Without entropy they need no gamma."""
    assert [1, 1, 1, 0] == chosen(EntropyBounded(gamma=0.0), [1.0, 0.6, 1.0, 0.5])


@pytest.mark.parametrize(
    "sampler",
    [Threshold(tau=1.0), Factor(factor=0.0), EntropyBounded(gamma=0.0), Credit(tau=1.0, weight=0)],
    ids=lambda s: type(s).__name__,
)
def test_exact_at_their_strictest(sampler):
    """T3: then they are one at a time."""
    oracle = Oracle()
    ids = run(sampler, oracle, oracle.prior(ROWS), range(ROWS))[-1]
    assert oracle.total_variation(ids) < 1.25 * oracle.floor(ROWS)


def test_entropy_bound_buys_calls_with_exactness():
    """T3: more gamma, fewer calls, more error, up to one call and independent draws."""
    far, calls = [], []
    for gamma in (0.5, 2.0, 100.0):
        oracle = Oracle()
        ids = run(EntropyBounded(gamma=gamma), oracle, oracle.prior(ROWS), range(ROWS))[-1]
        far.append(oracle.total_variation(ids))
        calls.append(oracle.nfe)
    assert pytest.approx([0.037, 0.327, 0.456], abs=0.015) == far
    assert [5, 3, 1] == calls


def test_parallel_draws_are_independent():
    """The distribution of a bold threshold, enumerated: a product within each step."""
    oracle, sampler = Oracle(vocab=2, length=3, sharpness=2.0), Threshold(tau=0.6)

    def chance(x):
        masked = [i for i, token in enumerate(x) if token == oracle.mask_id]
        if not masked:
            return {tuple(x): 1.0}
        p = oracle(torch.tensor([x]), torch.zeros(1))[0].exp()
        sure = [i for i in masked if p[i].max() >= sampler.tau]
        sure = sure or [max(masked, key=lambda i: float(p[i].max()))]
        total = {}
        for drawn in itertools.product(range(2), repeat=len(sure)):
            y = list(x)
            for i, v in zip(sure, drawn, strict=True):
                y[i] = v
            q = math.prod(float(p[i, v]) for i, v in zip(sure, drawn, strict=True))
            for text, then in (chance(y) if q else {}).items():
                total[text] = total.get(text, 0) + q * then
        return total

    expected = chance([oracle.mask_id] * 3)
    result = oracle.frequencies(run(sampler, oracle, oracle.prior(ROWS), range(ROWS))[-1])
    for text, share in zip(oracle.texts.tolist(), result.tolist(), strict=True):
        assert pytest.approx(expected.get(tuple(text), 0.0), abs=0.012) == share


class Recorded(Oracle):
    """An oracle that remembers when it was asked."""

    def __call__(self, x, t):
        self.asked = [*getattr(self, "asked", []), t]
        return super().__call__(x, t)


def test_time_is_that_of_as_many_masks():
    """A network that looks at the time hears of each row's own share of masks."""
    oracle, noise = Recorded(time_conditioned=True), Cosine()
    x = oracle.prior(2)
    x[1, 0] = 0
    surroundings = evolve(context(oracle, x, [0, 1]), noise=noise)
    list(walk(Threshold(tau=1.0), oracle, x, surroundings))
    rates = noise.mask_rate(torch.stack(oracle.asked))
    expected = [[1, 1], [0.8, 0.75], [0.6, 0.5], [0.4, 0.25], [0.2, 0]]
    torch.testing.assert_close(rates, torch.tensor(expected).double(), atol=1e-9, rtol=0)


@frozen
class Timid(AdaptiveSampler):
    """Never dares."""

    exact = "one at a time"

    def choose(self, masked, log_probs, context):
        return torch.zeros_like(masked)


def test_at_least_one_position_is_filled_in():
    """The most probable one, in every row that has a mask."""
    oracle = Oracle()
    x = oracle.prior(6)
    x[0] = 0
    first = run(Timid(), oracle, x, range(6))[0]
    surest = oracle(x, torch.zeros(6)).amax(-1).argmax(-1)
    for i in range(1, 6):
        assert [int(surest[i])] == (first[i] != oracle.mask_id).nonzero()[:, 0].tolist()


def test_credit_grows_while_the_likeliest_token_stays():
    """C <- 0.8 C + p^0.2, and log-probabilities gain 0.7 log(1 + C), by hand."""
    settings = Credit(tau=0.999)
    oracle = Oracle()
    x = oracle.prior(1)
    seen = []

    @frozen
    class Watched(Credit):
        def choose(self, masked, log_probs, context):
            seen.append(log_probs)
            return super().choose(masked, log_probs, context)

    states = [x, *run(Watched(tau=settings.tau), oracle, x, [0])]
    credit = torch.zeros(5, 4).double()
    for state, answer in zip(states, seen, strict=False):
        p = oracle(state, torch.zeros(1))[0].exp()
        best, token = p.max(-1)
        credit = 0.8 * credit
        credit[torch.arange(5), token] += best**0.2
        expected = (p * (1 + credit) ** 0.7) / (p * (1 + credit) ** 0.7).sum(-1, keepdim=True)
        torch.testing.assert_close(answer[0].exp(), expected)
