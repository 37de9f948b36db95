"""The gate's arithmetic, on numbers and on models."""

import pytest
import torch

from aios_core.config.schema import EvolutionConfig
from aios_core.evolution.gate import compare, judge, score
from aios_core.evolution.splits import Held, split, take


def test_bounds_cover_the_truth_as_often_as_they_say():
    generator = torch.Generator().manual_seed(0)
    tokens, inside = torch.full((60,), 16), 0
    for seed in range(200):
        before = torch.randn(60, generator=generator).double()
        after = before - 0.5 + torch.randn(60, generator=generator)
        change = compare(before, after, tokens, alpha=0.05, seed=seed)
        inside += change.low <= -0.5 / 16 <= change.high

    assert 0.83 < inside / 200 < 0.97, "two bounds of 5 % each leave 90 %"


def test_a_window_counts_by_its_tokens():
    before, after = torch.zeros(2).double(), torch.tensor([1.0, 3.0]).double()

    assert 1.0 == compare(before, after, torch.tensor([1, 3]), alpha=0.05, seed=0).delta


def test_a_model_against_itself_changes_nothing(found, settings):
    config = settings().config
    splits = split(config, found.tokenizer)
    verdict = judge(found.model, found.model.fork(), splits.gate, config.evolution, seed=0)

    assert 0 == verdict.target.delta == verdict.target.low == verdict.target.high
    assert not verdict.accepted


def test_a_candidate_that_is_not_finite_is_rejected(found, settings):
    config = settings().config
    splits = split(config, found.tokenizer)
    broken = found.model.fork()
    broken.head.norm.weight = torch.nn.Parameter(torch.full((32,), torch.nan))
    verdict = judge(found.model, broken, splits.gate, config.evolution, seed=0)

    assert not verdict.accepted
    assert "its scores are not finite" == verdict.reason
    assert verdict.plain()["target"]["after"] is None


def test_splits_have_nothing_in_common(found, settings):
    splits = split(settings().config, found.tokenizer)
    stream = splits.fitting.target.ids.numpy().tobytes()
    held = [(half, one) for half in (splits.gate, splits.report) for one in half.target.ids]

    assert all(one.numpy().tobytes() not in stream for _, one in held)
    assert splits.gate.fingerprint != splits.report.fingerprint
    assert len(held) == len({one.numpy().tobytes() for _, one in held})


def test_scores_do_not_depend_on_company(found, settings):
    """Two models see the same draws, whatever else is asked in between."""
    target = split(settings().config, found.tokenizer).gate.target
    first = score(found.model, target, draws=2, seed=3)
    torch.rand(7)

    assert torch.equal(first, score(found.model, target, draws=2, seed=3))
    assert (len(target),) == tuple(first.shape)


@pytest.mark.parametrize("tolerance", [0.0, 1000.0])
def test_the_base_has_a_say(found, settings, tolerance):
    """A model that has become worse on its own texts passes only if that is allowed."""
    splits = split(settings().config, found.tokenizer)
    config = EvolutionConfig(base_tolerance=tolerance, draws=2)
    worse = found.model.fork()
    with torch.no_grad():
        worse.head.norm.weight = torch.nn.Parameter(found.model.head.norm.weight * 0.2)
    gained = Held(splits.gate.base, splits.gate.base)
    swapped = judge(worse, found.model, gained, config, seed=0)
    verdict = judge(
        worse, found.model, Held(gained.target, take(gained.base, torch.arange(16))), config, seed=0
    )

    assert swapped.accepted, "better on both is always allowed"
    assert verdict.accepted
    assert not judge(found.model, worse, gained, config, seed=0).accepted
