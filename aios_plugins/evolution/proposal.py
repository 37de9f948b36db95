"""A candidate: what a level learned, held against its budget and the gate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import torch
from attrs import frozen

from aios_core.contracts import Budget
from aios_core.errors import EvolutionError
from aios_core.training.digest import model_digest
from aios_core.training.fitting import score
from aios_plugins._uncertainty.estimators import DEFAULT, estimator, read, scores
from aios_plugins.evolution.gate import Verdict, judge

if TYPE_CHECKING:
    from torch import Tensor

    from aios_core.config.schema import Config
    from aios_core.contracts import Adaptation, EvolutionLevel, Network, Windows
    from aios_core.diffusion.model import Model
    from aios_core.registry import Registry
    from aios_plugins.evolution.splits import Splits

WINDOWS: Final = 64
"""Windows of each domain from which uncertainty is estimated."""


@frozen(eq=False)
class Proposal:
    """A candidate, measured."""

    adaptation: Adaptation
    model: Network
    """With the adaptation."""
    seconds: float
    """That learning took."""
    verdict: Verdict
    report: Verdict
    """The same of texts that decide nothing."""


def propose(
    level: EvolutionLevel, model: Network, splits: Splits, config: Config, *, gatings: int = 0
) -> Proposal:
    """A candidate of a level, and what the gate says of it.

    Args:
        level: which adapts.
        model: as it is.
        splits: texts.
        config: budget, gate and seed.
        gatings: how often the gate's texts have decided before.

    Raises:
        EvolutionError: the level cannot, does not keep to the budget, or changed the model itself.
    """
    evolution = config.evolution
    budget = Budget(evolution.share, evolution.steps, evolution.batch_size)
    before, began = model_digest(model), time.monotonic()
    adaptation = level.adapt(model, splits.fitting, budget)
    seconds = time.monotonic() - began
    candidate = level.apply(model, adaptation).eval()
    if model_digest(model) != before:
        raise EvolutionError(f"{level.name} changed the model that it was given; nothing was kept")
    total = model.num_parameters()
    if adaptation.parameters > budget.share * total:
        raise EvolutionError(
            f"{level.name} touches {adaptation.parameters / total:.2%} of the parameters; the "
            f"budget is {budget.share:.2%}"
        )
    # The draws of fitting are none of the gate's, and the gate's none of the report's.
    verdict = judge(model, candidate, splits.gate, evolution, seed=config.seed + 1, gatings=gatings)
    report = judge(model, candidate, splits.report, evolution, seed=config.seed + 2)
    return Proposal(adaptation, candidate, seconds, verdict, report)


def evidence_uncertainty(model: Model, splits: Splits, registry: Registry) -> float:
    """How unsure a model is of the texts to learn from, in standard deviations above its own.

    By the estimator that scores texts elsewhere (`DEFAULT`), or by the likelihood of each window
    where tokens cannot be hidden one by one.

    Args:
        model: as it is.
        splits: texts.
        registry: where the estimator is looked up.

    Raises:
        InferenceError: it is not installed.
    """
    seed = splits.fitting.seed
    target, base = (
        _unsure(model, windows[:WINDOWS], seed, registry)
        for windows in (splits.fitting.target, splits.gate.base)
    )
    return float((target.mean() - base.mean()) / base.std().clamp(min=1e-6))


def _unsure(model: Model, windows: Windows, seed: int, registry: Registry) -> Tensor:
    """(N,) of each window."""
    if model.mode == "ar" or not model.process.absorbing or model.in_blocks:
        return score(model, windows, draws=2, seed=seed) / windows.sizes
    default = {DEFAULT: estimator(registry)}
    levels = read(model.eval(), windows, seed=seed)
    return torch.from_numpy(scores(levels, default)[DEFAULT]).mean(1)
