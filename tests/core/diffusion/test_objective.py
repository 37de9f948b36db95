"""Bounds of the likelihood, and the loss."""

import itertools
import math
from functools import partial

import pytest
import torch

from aios_core.config.schema import DiffusionConfig
from aios_core.diffusion import objective
from aios_core.diffusion.objective import nelbo, nll
from aios_core.diffusion.times import clip_times, draw_times
from aios_core.testing.oracle import NoisyOracle, Oracle
from aios_plugins.corruptions.hybrid import Hybrid
from aios_plugins.corruptions.uniform import Uniform
from aios_plugins.noise.cosine import Cosine
from aios_plugins.noise.geometric import Geometric
from aios_plugins.noise.linear_sigma import LinearSigma
from aios_plugins.noise.loglinear import LogLinear
from aios_plugins.noise.md4_clipped import MD4Clipped
from aios_plugins.noise.polynomial import Polynomial
from aios_plugins.objectives.exact_count import ExactCount

from .conftest import nelbo_discrete, nelbo_exact_count, score_entropy, streams, whole

ROWS = 40_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def assert_mean(expected, draws):
    """The mean of independent draws is as expected, to within 3.5 standard errors."""
    error = float(draws.std() / math.sqrt(len(draws)))
    assert abs(float(draws.mean()) - expected) < 3.5 * error, (draws.mean(), expected, error)


def test_stratified_times():
    """T19: each stratum holds exactly one time, in random order."""
    t = draw_times(64, generator(), epsilon=0.0)
    assert torch.equal(torch.arange(64), (t * 64).floor().long().sort().values)
    assert not torch.equal(t, t.sort().values)


def test_times_of_each_row_are_uniform():
    """T19: stratification must not tie a row to a stratum."""
    first = torch.stack([draw_times(8, generator(seed))[0] for seed in range(4000)])
    counts = torch.histc(first, bins=8, min=0, max=1)
    assert float(((counts - 500) ** 2 / 500).sum()) < 30  # chi-square with 7 degrees: p = 1e-4


def test_stratified_times_vary_less():
    """T19: variance of the batch mean of 1 + 2t with B = 64 is 1.3e-6, of iid times 5.1e-3."""
    for kind, expected in (("iid", 4 / 12 / 64), ("stratified", 4 / 12 / 64**3)):
        source = generator()
        means = torch.stack([(1 + 2 * draw_times(64, source, kind)).mean() for _ in range(1000)])
        assert pytest.approx(expected, rel=0.2) == float(means.var())


def test_times_keep_their_distance_from_zero():
    """T4: epsilon bounds them below; the default is far below the largest that is allowed."""
    assert 1e-3 <= draw_times(1000, generator(), "iid", epsilon=1e-3).min()
    assert DiffusionConfig().time_epsilon <= 1e-3
    with pytest.raises(ValueError, match="time_epsilon"):
        DiffusionConfig(time_epsilon=1e-2)


@pytest.mark.parametrize(("epsilon", "bias"), [(1e-3, 0.0017), (1e-2, 0.017), (0.1, 0.15)])
def test_bias_of_leaving_out_small_times(epsilon, bias):
    """T4: the NELBO averaged over [epsilon, 1], by quadrature, is off by so much at most."""
    oracle = Oracle()
    t = epsilon + (1 - epsilon) * (torch.arange(2000).double() + 0.5) / 2000
    k = torch.arange(6)
    chance = t[:, None] ** k * (1 - t[:, None]) ** (5 - k)
    bound = oracle.masked_loss() @ (chance / t[:, None]).mean(0)
    off = ((bound + oracle.log_joint) / oracle.log_joint).abs().max()
    assert off < bias


def estimator(bound, *, kind="stratified", epsilon=0.0, **settings):
    """A bound with times and noise by a seed."""

    def drawn(model, x, seed):
        times = draw_times(len(x), generator(seed), kind, epsilon)
        return bound(model, whole(x), times, streams(x, seed), **settings)

    return drawn


ESTIMATORS = {
    "iid": estimator(nelbo, kind="iid", epsilon=1e-4),
    "stratified": estimator(nelbo, epsilon=1e-4),
    "exact count": estimator(nelbo_exact_count),
    "discrete": estimator(nelbo_discrete, steps=2000),
}


@pytest.mark.parametrize("noise", [LogLinear(eps=0.0), Cosine(), Polynomial()])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_agree_with_the_likelihood(name, noise):
    """T1, T5: with a perfect denoiser all of them average to -log p(x)."""
    oracle = Oracle()
    text = oracle.texts[100]
    draws = ESTIMATORS[name](oracle.model(noise), text.expand(ROWS, -1), 1)
    assert_mean(-float(oracle.log_joint[100]), draws)


UNDER_NOISE = {
    "continuous": nelbo,
    "discrete": partial(nelbo_discrete, steps=100),
}


@pytest.mark.parametrize("corruption", [Uniform(), Hybrid()], ids=repr)
@pytest.mark.parametrize("name", UNDER_NOISE)
def test_estimators_agree_under_other_noise(name, corruption):
    """T5: with a perfect prediction both average to -log p(x); a hundred steps are nearly all."""
    noise = LogLinear(eps=0.0)
    oracle = NoisyOracle(corruption, noise, length=3)
    text, rows = oracle.texts[11], 20_000
    # The middles of a hundred strata, which are also inside the steps of discrete time.
    times = (torch.randperm(rows, generator=generator()) % 100 + 0.5).double() / 100
    x = text.expand(rows, -1)
    draws = UNDER_NOISE[name](oracle.model(noise), whole(x), times, streams(x))
    exact, error = -float(oracle.log_joint[11]), float(draws.std()) / math.sqrt(rows)
    assert abs(float(draws.mean()) - exact) < 3.5 * error + 0.02 * exact


@torch.no_grad()
@pytest.mark.parametrize("noise", [LogLinear(), Cosine()])
def test_score_entropy_is_sedds(noise, small_model):
    """T21: the formula of SEDD, written out at every masked position."""
    model, x = small_model(noise=noise), torch.tensor([[2, 0, 1, 1]]).expand(64, -1)
    times = draw_times(64, generator())
    result = score_entropy(model, whole(x), times, streams(x))
    z = model.process.corrupt(x, noise.alpha(times), streams(x))
    sigma, slope = noise.sigma(times), -noise.alpha_prime(times) / noise.alpha(times)
    r = 1 / torch.expm1(sigma)
    logits = model(z, times)
    logits[..., 3] = -torch.inf
    scores = r[:, None, None] * logits.exp() / 6  # V - 1 tokens that are no mask
    own = scores.gather(-1, x[..., None])[..., 0]
    r, slope = r[:, None], slope[:, None]
    expected = slope * (scores.sum(-1) - r * own.log() + r * (r.log() - 1))
    torch.testing.assert_close(result, (expected * (z == 3)).sum(-1))


@torch.no_grad()
def test_score_entropy_of_a_prediction_is_the_nelbo():
    """T21: equal where scores add up as a prediction's do, and above it elsewhere."""
    oracle = Oracle(length=3)
    x, times = oracle.draw(500), draw_times(500, generator())
    bound = nelbo(oracle.model(Cosine()), whole(x), times, streams(x))
    for shift, above in ((math.log(3), 0.0), (0.0, 0.01), (2.0, 0.01)):
        model = oracle.model(Cosine())
        model.logits = lambda h, shift=shift: h + shift
        result = score_entropy(model, whole(x), times, streams(x))
        if above:
            assert ((result >= bound).all(), float((result - bound).mean()) > above) == (True, True)
        else:
            torch.testing.assert_close(result, bound)


def chain_rule(model, x):
    """Mean over all orders of -log p of x, revealed token by token in that order."""
    denoiser = model.denoiser()
    total = 0.0
    orders = list(itertools.permutations(range(len(x))))
    for order in orders:
        state = torch.full((1, len(x)), 3)
        for i in order:
            rate = (state == 3).double().mean()[None]
            total -= float(denoiser(state, rate)[0, i, x[i]].detach())
            state[0, i] = x[i]
    return total / len(orders)


@torch.no_grad()
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_agree_with_the_chain_rule(name, small_model):
    """T5: for any network the bound is the mean over random orders of the chain rule."""
    model = small_model(noise=LogLinear(eps=0.0))
    x = torch.tensor([2, 0, 1, 1])
    expected = chain_rule(model, x)
    assert_mean(expected, ESTIMATORS[name](model, x.expand(10_000, -1), 2))


@torch.no_grad()
def test_discrete_bound_of_one_step(small_model):
    """T5: ancestral sampling in one step draws all tokens at once, and its bound says so."""
    model = small_model(noise=LogLinear(eps=0.0))
    x = torch.tensor([2, 0, 1, 1]).expand(8, -1)
    bound = nelbo_discrete(model, whole(x), torch.rand(8), streams(x), steps=1)
    together = -model.denoiser()(torch.full((1, 4), 3), torch.ones(1).double())[0]
    torch.testing.assert_close(bound, together.gather(-1, x[0, :, None]).sum().expand(8))


def flat(model):
    """The model with all logits equal."""
    with torch.no_grad():
        model.head.linear.weight.zero_()
    return model


def test_loss_is_a_sum_over_all_tokens(small_model):
    """T6: per token it is log V for a network that knows nothing; over masks it would be twice."""
    model, expected = flat(small_model()), math.log(6)  # the mask is no answer
    x = torch.zeros(10_000, 4, dtype=torch.int64)
    times = draw_times(len(x), generator())
    loss = objective.training_loss(model, whole(x), times, streams(x))
    assert pytest.approx(expected, rel=0.01) == loss.item()
    per_row = nelbo_exact_count(model, whole(x), times, streams(x))
    torch.testing.assert_close(per_row, torch.full((len(x),), 4 * expected).double())


@pytest.mark.parametrize("noise", [MD4Clipped(eps=1e-3), Geometric(1e-3), LinearSigma(1e-3)])
def test_the_last_step_cleans_whatever_is_left(noise, small_model):
    """T5: from the smallest noise that the schedule has there is a step to none, and it counts.

    Its weight is the number of steps: whatever is masked then is drawn at once.
    """
    model = flat(small_model(noise=noise))
    x = torch.zeros(2000, 4, dtype=torch.int64)
    for steps in (1, 7):
        now = torch.zeros(len(x), dtype=torch.float64)  # all in the last of the steps
        bound = nelbo_discrete(model, whole(x), now, streams(x), steps=steps)
        masks = bound / steps / math.log(6)
        torch.testing.assert_close(masks, masks.round(), atol=1e-9, rtol=0)
        assert set(masks.round().tolist()) <= {0, 1, 2, 3, 4}
        assert masks.any()


@pytest.mark.parametrize("corruption", [Uniform(), Hybrid()])
def test_the_last_step_of_other_noise_is_to_clean_tokens(corruption, small_model):
    """T5: likewise; in a single step the loss is that of the tokens themselves."""
    noise = MD4Clipped(eps=1e-3)
    model = flat(small_model(noise=noise, corruption=corruption))
    x = torch.zeros(8, 4, dtype=torch.int64)
    bound = nelbo_discrete(model, whole(x), torch.rand(8), streams(x), steps=1)
    z = model.process.corrupt(x, noise.alpha(torch.ones(8).double()), streams(x))
    seen = model.process.mass(noise.alpha(torch.ones(1).double()))[0]
    alpha = float(noise.alpha(torch.tensor(1.0).double()))
    # -log p(x | z), by Bayes' rule, of a prediction that knows nothing of the other positions.
    likely = seen[z] + alpha * (z == x)
    total = torch.stack([seen[z] + alpha * (z == y) for y in (0, 1, 2, 4, 5, 6)]).sum(0)
    torch.testing.assert_close(bound, -(likely / total).log().sum(-1))


@pytest.mark.parametrize("mode", ["diffusion", "ar"])
def test_padding_is_no_part_of_what_a_loss_is_divided_by(mode, small_model):
    """T6: nats a token are the same for a row that is padded, alone and beside others."""
    model, times = flat(small_model(mode)), torch.full((3, 1), 1.0, dtype=torch.float64)
    x = torch.tensor([[2, 0, 1, 1], [0, 1, 4, 4], [1, 4, 4, 4]])
    for rows in ([0], [1], [2], [0, 1, 2]):
        given = whole(x[rows], x[rows] != 4)
        loss = objective.training_loss(
            model, given, times[rows], streams(x[rows]), objective=ExactCount()
        )
        assert pytest.approx(math.log(6)) == loss.item(), rows


def test_padding_is_never_hidden(small_model):
    """T6: at the end of time all tokens of a row are, and each counts once."""
    model, x = flat(small_model("diffusion")), torch.tensor([[2, 0, 1, 1], [0, 1, 4, 4]])
    rows = nelbo(model, whole(x, x != 4), torch.ones(2, 1).double(), streams(x)).detach()

    assert pytest.approx(float(rows[0]) / 2, rel=1e-6) == float(rows[1]) > 0


@pytest.mark.parametrize("mode", ["diffusion", "ar"])
def test_padding_counts_for_nothing(small_model, mode):
    """T6, T16: neither corrupted nor predicted nor counted, and its tokens change nothing."""
    model = small_model(mode)
    x = torch.tensor([[2, 0, 1, 1], [0, 1, 4, 4]])
    shown, times = x != 4, draw_times(2, generator())
    losses = [
        objective.training_loss(
            model, whole(x.masked_fill(~shown, pad), shown), times, streams(x)
        ).item()
        for pad in (4, 5)
    ]
    assert pytest.approx(losses[0]) == losses[1]
    ends = flat(model)
    for seed in range(20):
        if mode == "ar":
            rows = nll(ends, whole(x, shown))
        else:
            times = torch.rand(2).double()
            rows = nelbo_exact_count(ends, whole(x, shown), times, streams(x, seed))
        torch.testing.assert_close(rows, torch.tensor([4.0, 2.0]).double() * math.log(6))


def test_loss_reaches_every_parameter(small_model):
    for mode in ("diffusion", "ar"):
        model = small_model(mode).train()
        x = torch.randint(3, (8, 4))
        times = draw_times(8, generator())
        objective.training_loss(model, whole(x), times, streams(x)).backward()
        assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_a_batch_without_masks_trains_nothing(small_model):
    """No division by the number of masks, so nothing happens when there is none."""
    model = small_model()
    x = torch.zeros(2, 4, dtype=torch.int64)
    times = torch.full((2,), 1e-12).double()
    loss = objective.training_loss(model, whole(x), times, streams(x))
    loss.backward()
    assert 0 == loss.item()
    assert not any(p.grad.any() for p in model.parameters())


@torch.no_grad()
def test_likelihood_of_the_twin_is_exact(small_model):
    """The probabilities of all texts of a length sum to 1, so nothing is left out or doubled."""
    model = small_model("ar")
    tokens = [token for token in range(7) if token != 3]
    texts = torch.tensor(list(itertools.product(tokens, repeat=3)))
    total = (-nll(model, whole(texts))).exp().sum()
    assert pytest.approx(1.0) == total.item()


@torch.no_grad()
def test_first_token_of_the_twin_is_predicted_from_bos(small_model):
    model = small_model("ar")
    x = torch.tensor([[2]])
    logits = model(torch.tensor([[5]]))[0, 0]
    logits[3] = -torch.inf
    assert pytest.approx(-logits.log_softmax(0)[2].item()) == nll(model, whole(x)).item()


def test_bfloat16_loss_is_computed_in_float32(small_model):
    """T8: the cross-entropy is that of the bfloat16 logits, normalised in float32."""
    model = small_model("ar", dtype=torch.bfloat16)
    x = torch.tensor([[2, 0, 1, 1]])
    logits = model(torch.tensor([[5, 2, 0, 1]])).double()
    logits[..., 3] = -torch.inf
    expected = -logits.log_softmax(-1).gather(-1, x[..., None]).sum()
    assert pytest.approx(expected.item(), rel=1e-6) == nll(model, whole(x)).item()


@pytest.mark.parametrize("noise", [LogLinear(), Cosine()])
def test_clipped_times_have_clipped_mask_rates(noise):
    """T23: BD3-LM's clipped schedules, in training; the default leaves times as they are."""
    times = draw_times(1000, generator())
    clipped = clip_times(times, noise, (0.3, 0.8))
    rates = noise.mask_rate(clipped)
    assert pytest.approx(0.3, abs=0.01) == float(rates.min())
    assert pytest.approx(0.8, abs=0.01) == float(rates.max())
    middle = noise.inverse(torch.tensor([0.7, 0.2], dtype=torch.float64)).mean()
    assert pytest.approx(float(middle), abs=0.001) == float(clipped.mean())
    assert clip_times(times, noise, (0.0, 1.0)) is times


@pytest.mark.parametrize("rates", [(0.5, 0.5), (0.8, 0.3), (-0.1, 1.0), (0.0, 1.1)])
def test_bad_mask_rates_are_refused(rates):
    with pytest.raises(ValueError, match="two rising numbers"):
        DiffusionConfig(mask_rates=rates)


@pytest.mark.parametrize("mode", ["diffusion", "ar"])
def test_logits_in_pieces_are_the_same(small_model, mode, monkeypatch):
    """Losses and gradients, also where a piece is a single position and the last one is short."""

    def run(entries):
        monkeypatch.setattr(objective, "LOGITS_AT_ONCE", entries)
        model, times = small_model(mode).train(), draw_times(8, generator(3))
        x = torch.arange(32).reshape(8, 4) % 3
        objective.training_loss(model, whole(x), times, streams(x)).backward()
        return [p.grad for p in model.parameters()]

    expected = run(1 << 30)
    for entries in (1, 7 * 3):
        torch.testing.assert_close(run(entries), expected)


@pytest.mark.parametrize("noise", [LogLinear(), Cosine()], ids=repr)
@pytest.mark.parametrize("estimate", [nelbo, nelbo_exact_count, score_entropy])
def test_a_network_is_told_the_time_of_as_many_masks_as_it_sees(estimate, noise, small_model):
    """And not the time of as many that are shown, nor another row's."""
    model, seen, states = small_model(noise=noise), [], None
    states = model.states

    def watched(z, t, condition=None):
        seen.append((z, t))
        return states(z, t, condition)

    model.states = watched
    x = torch.zeros(8, 400, dtype=torch.int64)
    estimate(model, whole(x), draw_times(8, generator())[:, None], streams(x))
    ((z, t),) = seen
    exactly = estimate is nelbo_exact_count
    shares = (z == 3).double().mean(-1)
    torch.testing.assert_close(noise.mask_rate(t), shares, atol=2e-3 if exactly else 0.1, rtol=0)
    assert shares.max() - shares.min() > 0.7
