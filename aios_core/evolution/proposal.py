"""A candidate: what a level learned, held against its budget and the gate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from aios_core.contracts import Budget, Windows
from aios_core.errors import EvolutionError
from aios_core.evolution.digest import model_digest
from aios_core.evolution.gate import Verdict, judge, score

if TYPE_CHECKING:
    from aios_core.config.schema import Config
    from aios_core.contracts import Adaptation, EvolutionLevel
    from aios_core.diffusion.model import Model
    from aios_core.evolution.splits import Splits


@frozen(eq=False)
class Proposal:
    """A candidate, measured."""

    adaptation: Adaptation
    model: Model
    """With the adaptation."""
    seconds: float
    """That learning took."""
    verdict: Verdict
    report: Verdict
    """The same of texts that decide nothing."""


def propose(
    level: EvolutionLevel, model: Model, splits: Splits, config: Config, *, gatings: int = 0
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


def harder(model: Model, splits: Splits) -> float:
    """Nats a token that the texts to learn from are harder than those of the base domain."""
    found = []
    for windows in (splits.fitting.target, splits.gate.base):
        some: Windows = evolve(windows, ids=windows.ids[:64], valid=windows.valid[:64])
        nats = score(model, some, draws=2, seed=splits.fitting.seed)
        found.append(float(nats.sum() / some.valid.sum()))
    return found[0] - found[1]
