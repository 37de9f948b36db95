"""The router: which level is tried next, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from aios_core.component import blamed, named
from aios_core.contracts.policy import Choice, Situation
from aios_core.errors import EvolutionError

if TYPE_CHECKING:
    from aios_core.config.schema import Config


def route(
    config: Config, measure: Callable[[], float], failed: Collection[str]
) -> Sequence[Choice]:
    """Levels in the order in which to try them; empty where all have failed.

    Args:
        config: its levels and its policy.
        measure: measures how unsure the model is of the evidence, in standard deviations above
            texts like those of its training; called where the policy asks.
        failed: names of levels that did not pass the gate on this evidence, from this HEAD.

    Raises:
        EvolutionError: the policy chose a level that it was not given, or one that failed.
    """
    only = config.evolution.level
    if only is not None:
        chosen = [level for level in config.levels if level.name == only]
        return [Choice(level, "evolution.level names it") for level in chosen]
    situation = Situation(config.levels, frozenset(failed), measure)
    with blamed(config.policy, "choose"):
        choices = tuple(config.policy.choose(situation))
    open_ones = {level.name for level in config.levels} - situation.failed
    if wrong := [choice.level.name for choice in choices if choice.level.name not in open_ones]:
        raise EvolutionError(
            f"{named(config.policy)} chose {wrong[0]!r}; expected some of {sorted(open_ones)}"
        )
    return choices
