"""The gate's arithmetic, on numbers and on models."""

import math
import random
import string

import pytest
import torch

from aios_core.config import resolve
from aios_core.config.schema import EvolutionConfig
from aios_core.contracts import Estimate, Windows
from aios_core.diffusion.model import Model
from aios_core.diffusion.objective import nll
from aios_core.errors import EvolutionError
from aios_core.training.fitting import score
from aios_core.training.layout import Framing
from aios_plugins.evolution import gate
from aios_plugins.evolution.gate import Change, _reason, compare, judge
from aios_plugins.evolution.splits import Held, split, windows


def test_bounds_cover_the_truth_as_often_as_they_say():
    generator = torch.Generator().manual_seed(0)
    tokens, inside = torch.full((60,), 16), 0
    for _ in range(200):
        before = torch.randn(60, generator=generator).double()
        after = before - 0.5 + torch.randn(60, generator=generator)
        change = compare(before, after, tokens, alpha=0.05)
        inside += change.low <= -0.5 / 16 <= change.high

    assert 0.83 < inside / 200 < 0.97, "two bounds of 5 % each leave 90 %"


def test_a_window_counts_by_its_tokens():
    before, after = torch.zeros(2).double(), torch.tensor([1.0, 3.0]).double()

    assert 1.0 == compare(before, after, torch.tensor([1, 3]), alpha=0.05).delta


def test_a_model_against_itself_changes_nothing(loaded, settings):
    config = settings().config
    splits = split(config, loaded.tokenizer)
    verdict = judge(loaded.model, loaded.model.fork(), splits.gate, config.evolution, seed=0)

    assert 0 == verdict.target.delta == verdict.target.low == verdict.target.high
    assert not verdict.accepted


def test_a_candidate_that_is_not_finite_is_rejected(loaded, settings):
    config = settings().config
    splits = split(config, loaded.tokenizer)
    broken = loaded.model.fork()
    broken.head.norm.weight = torch.nn.Parameter(torch.full((32,), torch.nan))
    verdict = judge(loaded.model, broken, splits.gate, config.evolution, seed=0)

    assert not verdict.accepted
    assert "its scores are not finite" == verdict.reason
    assert verdict.plain()["target"]["after"] is None


def test_splits_have_nothing_in_common(loaded, settings):
    splits = split(settings().config, loaded.tokenizer)
    stream = splits.fitting.target.ids.numpy().tobytes()
    held = [(half, ids) for half in (splits.gate, splits.report) for ids in half.target.ids]

    assert all(ids.numpy().tobytes() not in stream for _, ids in held)
    assert splits.gate.fingerprint != splits.report.fingerprint
    assert len(held) == len({ids.numpy().tobytes() for _, ids in held})


def test_the_base_is_held_out_too(loaded, settings, trained):
    """What decides and what reports on the base is of no text that was trained on, and apart."""
    splits = split(settings().config, loaded.tokenizer)
    text = (trained / "up.txt").read_text()
    trained_on = loaded.tokenizer.encode(text[: round(0.9 * len(text))]).astype("int64").tobytes()
    halves = (splits.gate.base, splits.report.base)
    held = [
        ids[targets].numpy().tobytes()
        for half in halves
        for ids, targets in zip(half.ids, half.targets, strict=True)
    ]

    assert 48 == len(held) == len(set(held))
    assert all(ids not in trained_on for ids in held)
    assert splits.fitting.base.ids[0, 1:].numpy().tobytes() in trained_on


def test_the_fewest_windows_are_those_that_decide(loaded, settings, tmp_path):
    """Fault T7: 16 after halving; the message says how many characters more would do."""
    texts = tmp_path / "texts.txt"
    config = settings(f'evidence=[{{type="file", path="{texts}"}}]').config
    story = "".join(random.Random(0).choices(string.ascii_lowercase, k=9000))
    texts.write_text(story[:3000])
    with pytest.raises(EvolutionError, match=r"expected 32 .* got 19; about") as error:
        split(config, loaded.tokenizer)
    more = int(str(error.value).split("about ")[1].split(" ")[0].replace(",", ""))
    texts.write_text(story[: 3000 + more])
    splits = split(config, loaded.tokenizer)

    assert 16 <= len(splits.gate.target) <= 17
    assert 16 <= len(splits.report.target)


def test_windows_that_were_fitted_on_are_made_up_for(loaded, settings, tmp_path):
    """Twenty of the first held-out windows are known: those behind them decide and report."""
    texts = tmp_path / "texts.txt"
    config = settings(f'evidence=[{{type="file", path="{texts}"}}]').config
    story = "".join(random.Random(0).choices(string.ascii_lowercase, k=9000))
    texts.write_text(story[:8100] + story[:320] + story[8100:8680])
    splits = split(config, loaded.tokenizer)

    assert (20, 18, 18) == (splits.dropped, len(splits.gate.target), len(splits.report.target))


def change(delta, high):
    return Change(1.0, 1.0 + delta, delta, 2 * delta - high, high, 0.01)


@pytest.mark.parametrize(
    ("target", "base", "part"),
    [
        ((-0.2, -0.11), (0.0, 0.2), None),
        ((-0.2, -0.1), (0.0, 0.2), "the target changes"),
        ((-0.2, -0.05), (0.0, 0.2), "the target changes"),
        ((-0.2, -0.11), (0.1, 0.3), "the base changes"),
        ((-0.2, -0.11), (0.1, 0.35), "the base changes"),
        ((math.nan, -0.11), (0.1, 0.2), "not finite"),
        ((-0.2, -0.11), (math.inf, 0.2), "not finite"),
    ],
)
def test_upper_bounds_decide(target, base, part):
    """Not the means: of the target against epsilon, of the base against the tolerance."""
    config = EvolutionConfig(epsilon=0.1, base_tolerance=0.3)
    reason = _reason(change(*target), change(*base), config)

    assert (reason is None) == (part is None)
    assert part is None or part in reason


def test_no_demand_is_a_negative_zero():
    reason = _reason(change(0.0, 0.1), change(0.0, 0.0), EvolutionConfig(epsilon=0.0))

    assert reason is not None
    assert reason.endswith("expected less than +0.0000")


def test_scores_do_not_depend_on_company(loaded, settings):
    """Two models see the same draws, whatever else is asked in between."""
    target = split(settings().config, loaded.tokenizer).gate.target
    first = score(loaded.model, target, draws=2, seed=3)
    torch.rand(7)

    assert torch.equal(first, score(loaded.model, target, draws=2, seed=3))
    assert (len(target),) == tuple(first.shape)


@pytest.mark.parametrize("tolerance", [0.0, 1000.0])
def test_the_base_has_a_say(loaded, settings, tolerance):
    """A model that has become worse on its own texts passes only if that is allowed."""
    splits = split(settings().config, loaded.tokenizer)
    config = EvolutionConfig(base_tolerance=tolerance, draws=2)
    worse = loaded.model.fork()
    with torch.no_grad():
        worse.head.norm.weight = torch.nn.Parameter(loaded.model.head.norm.weight * 0.2)
    gained = Held(splits.gate.base, splits.gate.base)
    swapped = judge(worse, loaded.model, gained, config, seed=0)
    verdict = judge(
        worse,
        loaded.model,
        Held(gained.target, gained.base[:16]),
        config,
        seed=0,
    )

    assert swapped.accepted, "better on both is always allowed"
    assert verdict.accepted
    assert not judge(loaded.model, worse, gained, config, seed=0).accepted


def test_bounds_are_students_where_nothing_is_skewed():
    """Fault T7: scipy's interval of the mean, and of a ratio that of its residuals."""
    from scipy import stats

    values = torch.tensor([-1.0, 1.0] * 8).double() - 0.3
    known = stats.ttest_1samp(values.numpy(), 0).confidence_interval(1 - 2 * 1e-4)
    made = compare(torch.zeros(16).double(), 16 * values, torch.full((16,), 16), alpha=1e-4)

    assert pytest.approx((known.low, known.high), abs=1e-5) == (made.low, made.high)
    tokens = torch.tensor([8, 16] * 8)
    even = compare(torch.zeros(16).double(), 2.0 * tokens.double(), tokens, alpha=1e-4)
    assert pytest.approx(2.0) == even.low == even.high, "the same for each token"


def test_skewness_widens_the_side_of_its_tail_alone():
    """Fault T7: a tail towards worse raises the upper bound; read backwards, sides change."""
    from scipy import stats

    values = torch.tensor([0.0] * 12 + [1.0, 1.0, 2.0, 6.0]).double()
    known = stats.ttest_1samp(values.numpy(), 0).confidence_interval(0.98)
    tokens, zeros = torch.ones(16), torch.zeros(16).double()
    there = compare(zeros, values, tokens, alpha=0.01)
    back = compare(values, zeros, tokens, alpha=0.01)

    assert there.high > known.high + 0.2
    assert pytest.approx(known.low, abs=1e-5) == there.low
    assert pytest.approx((-there.high, -there.low)) == (back.low, back.high)


@pytest.mark.parametrize("alpha", [0.2, 0.01])
def test_a_bound_solves_halls_cubic(alpha):
    """T + g T^2/3 + g^2 T^3/27 + g/6n is what Student's t is the quantile of (Hall 1992)."""
    from scipy import stats

    tokens = torch.tensor([8, 16, 12, 16] * 4)
    gains = torch.tensor([0.0] * 10 + [1.0, -1.0, 2.0, 3.0, 5.0, 9.0]).double()
    change = compare(torch.ones(16).double(), 1 + gains, tokens, alpha=alpha)
    residuals = ((gains - change.delta * tokens) / tokens.double().mean()).numpy()
    skewness, deviation = stats.skew(residuals), residuals.std(ddof=1)
    t = -(change.high - change.delta) / deviation
    cubic = t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / (6 * 16)

    assert skewness > 0.5
    assert pytest.approx(-stats.t.ppf(1 - alpha, 15) / math.sqrt(16)) == cubic
    assert pytest.approx((1 / 13, 1 / 13 + 19 / 208)) == (change.before, change.after)
    single = compare(torch.zeros(1).double(), torch.ones(1).double(), tokens[:1], alpha=alpha)
    assert (1 / 8, -math.inf, math.inf) == (single.delta, single.low, single.high), (
        "one window says nothing"
    )


def test_a_score_is_the_mean_of_its_draws(loaded, settings):
    """Nats of a window, whatever the number of draws and the size of a batch."""
    base = split(settings().config, loaded.tokenizer).gate.base
    single, many = (float(score(loaded.model, base, draws=n, seed=0).mean()) for n in (1, 8))
    other = score(loaded.model, base, draws=1, seed=1)

    assert single == pytest.approx(many, rel=0.25)
    assert not torch.equal(score(loaded.model, base, draws=1, seed=0), other)
    assert (len(base),) == tuple(score(loaded.model, base, draws=2, seed=0, batch_size=5).shape)


@pytest.mark.parametrize("alpha", [0.2, 1e-3])
@pytest.mark.parametrize("number", [2, 16, 200])
def test_a_standard_error_is_of_a_ratio_and_of_no_alpha(number, alpha):
    """However few windows there are, and however rarely the bounds may err."""
    generator = torch.Generator().manual_seed(number)
    tokens = torch.randint(1, 17, (number,), generator=generator)
    before, after = torch.rand(2, number, generator=generator).double() * tokens
    result = compare(before, after, tokens, alpha=alpha)
    known = Estimate.ratio((after - before).tolist(), tokens.tolist())

    assert pytest.approx((known.value, known.stderr)) == (result.delta, result.stderr)
    assert math.inf == compare(before[:1], after[:1], tokens[:1], alpha=alpha).stderr


def held(rows, padded):
    """Windows of 4 tokens, the last of which are padding."""
    ids = torch.full((rows, 4), rows)
    return Windows(ids, torch.arange(4).expand(rows, 4) < 4 - padded)


def test_a_verdict_is_of_the_differences_on_the_same_draws(monkeypatch):
    """Of each domain by its own windows and tokens, with the share of errors that is left."""
    scores = {
        ("before", 5): [4.0, 5, 6, 7, 8],
        ("after", 5): [2.0, 3, 4, 5, 6.1],
        ("before", 6): [4.0, 4, 4, 5, 5, 5],
        ("after", 6): [4.2, 4.1, 4.1, 5, 5.2, 5.1],
    }
    asked = []

    def score(model, windows, **words):
        asked.append(words)
        return torch.tensor(scores[model, len(windows)]).double()

    monkeypatch.setattr(gate, "score", score)
    config = EvolutionConfig(draws=3, confidence=0.9, base_tolerance=0.5, epsilon=0.01)
    both = Held(held(5, 0), held(6, 1))
    verdict = judge("before", "after", both, config, seed=7, gatings=2)
    alpha = 0.1 * 6 / (math.pi * 3) ** 2
    target, base = (
        compare(
            *(torch.tensor(scores[name, n]).double() for name in ("before", "after")),
            torch.full((n,), tokens),
            alpha=alpha,
        )
        for n, tokens in ((5, 4), (6, 3))
    )

    assert [{"draws": 3, "seed": 7}] * 4 == asked
    assert pytest.approx(alpha) == verdict.alpha
    assert (target, base, True) == (verdict.target, verdict.base, verdict.accepted)
    assert pytest.approx((30 / 20, 20.1 / 20)) == (target.before, target.after)
    assert pytest.approx((27 / 18, 27.7 / 18)) == (base.before, base.after)
    scores["before", 6][2] = math.nan
    with pytest.raises(EvolutionError, match="no finite score on the base texts"):
        judge("before", "after", both, config, seed=7)


def test_an_autoregressive_score_is_the_likelihood_itself(loaded):
    """In batches that do not divide the windows, of which the last is padded."""
    config = resolve(loaded.state.values | {"mode": "ar"}).config
    model = Model.build(config, loaded.tokenizer.vocabulary)
    whole = windows(["milk and honey " * 9], loaded.tokenizer, Framing.of(config), 99)
    with torch.no_grad():
        known = nll(model.eval(), whole)

    scored = score(model, whole, draws=2, seed=0, batch_size=4)
    assert torch.allclose(known.double(), scored, rtol=1e-5)
    assert 9 == len(known)
