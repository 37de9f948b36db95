"""The gate: base and candidate on the same draws, and what must be true for a change to stay."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from attrs import asdict, frozen

from aios_core.errors import EvolutionError
from aios_core.training.fitting import score

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.config.schema import EvolutionConfig
    from aios_core.contracts import Network
    from aios_plugins.evolution.splits import Held


@frozen
class Change:
    """A score before and after, in nats a token; negative is better."""

    before: float
    after: float
    delta: float
    low: float
    """Lower bound of the difference, see `compare`."""
    high: float
    """Upper bound."""
    stderr: float
    """Standard error of the difference over the windows; infinite where one window is all."""


@frozen
class Verdict:
    """What a gate says."""

    accepted: bool
    reason: str
    target: Change
    base: Change
    alpha: float
    """Share of wrong acceptances that this gating may add, after those before it on its texts."""

    def plain(self) -> dict[str, Any]:
        """As data for a journal; what is not finite is None."""
        return asdict(self, value_serializer=lambda _, __, value: _finite(value))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def compare(before: Tensor, after: Tensor, tokens: Tensor, *, alpha: float) -> Change:
    """The difference of two scores of the same windows, with bounds.

    The sum of differences over the sum of tokens is a ratio, whose residuals by window give its
    standard error. Each bound is that of Student's t, corrected for skewness by Hall's monotone
    cubic transformation (Hall 1992, "On the removal of skewness by transformation", JRSS B 54:221),
    and only where that widens it. A bootstrap cannot say what is rarer than one of its resamples,
    and its intervals are too narrow for few windows.

    By simulation of 20 independent asks under the alphas of `judge`, differences that are normal,
    or Student's t with 3 degrees, pass wrongly at least once in 3 to 5 % of cases, for 8 to 256
    windows. Strongly skewed ones cost more at few windows: exponential ones (skewness 2) 12 % with
    16 windows, 8 % with 32, 6 % with 64 and 5 % with 256.

    Args:
        before: (N,) nats.
        after: (N,) nats of the same windows under the same draws.
        tokens: (N,) of each window.
        alpha: one-sided: each bound is wrong with this probability.
    """
    from scipy.stats import t

    difference, tokens, number = after - before, tokens.double(), len(before)
    size = float(tokens.sum())
    old, new, ratio = (float(nats.sum()) / size for nats in (before, after, difference))
    residuals = (difference - ratio * tokens) / tokens.mean()
    if number < 2 or not bool(residuals.isfinite().all()):
        return Change(old, new, ratio, -math.inf, math.inf, math.inf)
    quantile = float(t.ppf(1 - alpha, number - 1)) / math.sqrt(number)
    below, above = _reach(-residuals, quantile), _reach(residuals, quantile)
    error = float(residuals.std()) / math.sqrt(number)
    return Change(old, new, ratio, ratio - below, ratio + above, error)


def _reach(residuals: Tensor, quantile: float) -> float:
    """How far a mean may lie above what was measured."""
    deviation = float(residuals.std())
    if not deviation:
        return 0.0
    skewness = float((residuals**3).mean() / (residuals**2).mean() ** 1.5)
    skewness = max(skewness, 1e-6)  # that of the other sign would narrow
    inner = 1 - skewness * (quantile + skewness / (6 * len(residuals)))
    return deviation * 3 / skewness * (1 - math.copysign(abs(inner) ** (1 / 3), inner))


def judge(
    before: Network,
    after: Network,
    held: Held,
    config: EvolutionConfig,
    *,
    seed: int,
    gatings: int = 0,
) -> Verdict:
    """Whether a candidate may stay.

    It may if the upper bound of the target's difference is below ``-epsilon`` and that of the
    base's below ``base_tolerance``. The k-th gating on one split may err with probability
    ``6 / (pi k)^2`` of the whole 1 - confidence, the sum of which over all k is one: however often
    one asks, and whatever one chooses by the answers, bad luck stays as rare as was agreed (alpha
    spending, Foster and Stine 2008).

    Args:
        before: the model as it is.
        after: the candidate.
        held: the split.
        config: epsilon, tolerance, confidence and draws.
        seed: of the draws.
        gatings: how often this split has decided before.

    Raises:
        EvolutionError: the model as it is has no finite score.
    """
    alpha = (1 - config.confidence) * 6 / (math.pi * (gatings + 1)) ** 2
    compared = {}
    for name, windows in (("target", held.target), ("base", held.base)):
        scores = [score(m, windows, draws=config.draws, seed=seed) for m in (before, after)]
        if not scores[0].isfinite().all():
            raise EvolutionError(f"the model as it is has no finite score on the {name} texts")
        if not scores[1].isfinite().all():
            scores[1] = torch.full_like(scores[0], torch.inf)
        compared[name] = compare(scores[0], scores[1], windows.sizes, alpha=alpha)
    target, base = compared["target"], compared["base"]
    reason = _reason(target, base, config)
    return Verdict(reason is None, reason or _success(target, base), target, base, alpha)


def _reason(target: Change, base: Change, config: EvolutionConfig) -> str | None:
    if not (math.isfinite(target.delta) and math.isfinite(base.delta)):
        return "its scores are not finite"
    if not target.high < -config.epsilon:
        return (
            f"the target changes by {target.delta:+.4f} nats/token, at most {target.high:+.4f}; "
            f"expected less than {0 - config.epsilon:+.4f}"
        )
    if not base.high < config.base_tolerance:
        return (
            f"the base changes by {base.delta:+.4f} nats/token, at most {base.high:+.4f}; "
            f"expected less than {config.base_tolerance:+.4f}"
        )
    return None


def _success(target: Change, base: Change) -> str:
    return f"target {target.delta:+.4f} nats/token, base {base.delta:+.4f}"
