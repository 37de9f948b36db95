"""What every policy of evolution must do."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar

import attrs
import pytest

from aios_core.contracts import EvolutionLevel
from aios_core.contracts.policy import Situation
from aios_core.testing.contracts.base import Contract

if TYPE_CHECKING:
    from aios_core.contracts import EvolutionPolicy
    from aios_core.contracts.policy import Choice


def situation(
    count: int = 4, *, failed: Collection[str] = (), uncertainty: float = 0.0
) -> Situation:
    """Some levels, which only have names: ``"level-0"``, ``"level-1"``, ...

    Args:
        count: how many.
        failed: names of those that failed.
        uncertainty: what measuring it gives.
    """
    levels = []
    for number in range(count):
        methods = dict.fromkeys(("adapt", "apply"), _unused)
        names = {"name": f"level-{number}", **methods}
        levels.append(attrs.frozen(type("Level", (EvolutionLevel,), names))())
    return Situation(tuple(levels), frozenset(failed), lambda: uncertainty)


def _unused(*_: object) -> None:
    raise AssertionError("a policy asked a level to do something; expected that it chooses it")


class PolicyContract(Contract["EvolutionPolicy"]):
    """Subclass it and set ``component``: a policy's class, or one that is built."""

    varied: ClassVar = {"test_levels_are_those_of_the_situation": {"uncertainty": 1.0}}

    @classmethod
    def try_out(cls, plugin: EvolutionPolicy) -> None:
        """Levels in an order."""
        _names(plugin.choose(situation()))

    @pytest.mark.parametrize("uncertainty", [-1e6, 0.0, 1.0, 1e6])
    def test_levels_are_those_of_the_situation(
        self, instance: EvolutionPolicy, uncertainty: float
    ) -> None:
        """Each at most once, with a reason, and at least one while none has failed."""
        given = situation(uncertainty=uncertainty)
        choices = instance.choose(given)
        names = _names(choices)
        assert set(names) <= {level.name for level in given.levels}, "a level of its own"
        assert len(names) == len(set(names)), f"{names} has a level twice"
        assert names, "no level is tried though none has failed"
        assert all(isinstance(choice.why, str) and choice.why for choice in choices)

    @pytest.mark.parametrize("uncertainty", [-1e6, 1.0, 1e6])
    def test_what_failed_is_not_tried_again(
        self, instance: EvolutionPolicy, uncertainty: float
    ) -> None:
        """One after the other, until nothing is left."""
        failed: list[str] = []
        for _ in range(5):
            names = _names(instance.choose(situation(failed=failed, uncertainty=uncertainty)))
            assert not set(names) & set(failed), f"{names} has one that failed: {failed}"
            failed += names[:1]
        every = {level.name for level in situation().levels}
        assert not _names(instance.choose(situation(failed=every, uncertainty=uncertainty)))

    def test_there_may_be_no_level(self, instance: EvolutionPolicy) -> None:
        """Then nothing is tried."""
        assert not _names(instance.choose(situation(0, uncertainty=2.0)))

    def test_the_same_situation_gives_the_same_choice(self, instance: EvolutionPolicy) -> None:
        """A policy keeps no state."""
        first, second = (_names(instance.choose(situation(uncertainty=2.0))) for _ in range(2))
        assert first == second


def _names(choices: object) -> list[str]:
    """The names of levels that were chosen."""
    assert isinstance(choices, list | tuple), f"choose gives {choices!r:.80}; expected choices"
    named: list[Choice] = list(choices)
    return [choice.level.name for choice in named]
