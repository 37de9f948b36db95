"""The router: which level is tried next, and why."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from aios_core.config.schema import Config
    from aios_core.contracts import EvolutionLevel


@frozen
class Choice:
    """A level to try."""

    level: EvolutionLevel
    why: str


def route(config: Config, uncertainty: float, failed: Collection[str]) -> list[Choice]:
    """Levels in the order in which to try them; empty where all have failed.

    Args:
        config: its levels and its policy.
        uncertainty: how unsure the model is of the evidence, in standard deviations above texts
            like those of its training.
        failed: names of levels that did not pass the gate on this evidence, from this HEAD.
    """
    evolution = config.evolution
    if evolution.level is not None:
        chosen = [level for level in config.levels if level.name == evolution.level]
        return [Choice(level, "evolution.level names it") for level in chosen]
    start, why = 0, "it is the first of the ladder"
    if evolution.policy == "uncertainty":
        start = sum(uncertainty >= threshold for threshold in evolution.thresholds)
        start = min(start, len(config.levels) - 1)
        why = f"the model is unsure of the evidence: {uncertainty:+.2f} standard deviations"
    choices: list[Choice] = []
    for level in config.levels[start:]:
        if level.name in failed:
            why = f"{level.name} did not pass the gate before"
            continue
        choices.append(Choice(level, why))
        why = f"{level.name} did not pass the gate"
    return choices
