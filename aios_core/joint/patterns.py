"""What is asked of a row of segments: which are given, absent or made, and by which clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from attrs import frozen

from aios_core.config.schema import RolesConfig
from aios_core.errors import InferenceError

if TYPE_CHECKING:
    from aios_core.config.schema import Config
    from aios_core.contracts import Task
    from aios_core.joint.rows import Groups


@frozen
class Pattern:
    """Segments that are made from segments that are given; all others are absent."""

    given: frozenset[str]
    made: frozenset[str]
    one_clock: bool = False
    """Whether the times of what is made are one time; else each has its own."""

    @property
    def present(self) -> frozenset[str]:
        """All that the network sees."""
        return self.given | self.made


def patterns(
    present: Collection[str], roles: RolesConfig, tasks: Mapping[str, Task]
) -> dict[Pattern, float]:
    """What may be asked of a row, with the probability of each.

    Args:
        present: names of the segments that the row has.
        roles: shares of the ways to ask, where no tasks are named.
        tasks: what is asked instead, by name.

    Returns:
        Probabilities that are 1 together; empty where no task serves the row.
    """
    names, weights = sorted(present), dict[Pattern, float]()
    if tasks:
        for task in tasks.values():
            if {*task.given, *task.absent} <= {*names}:
                made = frozenset(names) - {*task.given, *task.absent}
                if made:
                    pattern = Pattern(frozenset(task.given), made)
                    weights[pattern] = weights.get(pattern, 0.0) + task.weight
    else:
        for pattern, share in _by_roles(names, roles):
            weights[pattern] = weights.get(pattern, 0.0) + share
    total = sum(weights.values())
    return {pattern: weight / total for pattern, weight in weights.items() if weight}


def patterns_of(config: Config, groups: Groups) -> frozenset[Pattern]:
    """All that is asked of rows with some segments; what the data set gives is never made."""
    return frozenset(
        pattern
        for present, given in groups
        for pattern in patterns(present, config.roles or RolesConfig(), config.tasks)
        if not pattern.made & set(given)
    )


def _by_roles(names: Sequence[str], roles: RolesConfig) -> Iterable[tuple[Pattern, float]]:
    """Each pattern of each role; a role that a row cannot have has none."""
    whole = frozenset(names)
    several = []
    for name in names:
        made, others = frozenset({name}), sorted(whole - {name})
        subsets = [frozenset(s) for n in range(len(others)) for s in combinations(others, n + 1)]
        share = roles.target * (1 if len(names) < 3 else 0.75)
        for given in subsets:
            yield Pattern(given, made), share / len(names) / len(subsets)
        several += [Pattern(frozenset({name}), rest) for rest in subsets if len(rest) > 1]
        yield Pattern(frozenset(), made), roles.alone / len(names)
    for pattern in several:
        yield pattern, roles.target * 0.25 / len(several)
    if len(names) > 1:
        # Guidance of several segments asks for them without what is given: so half are of fewer.
        fewer = [frozenset(s) for n in range(2, len(names)) for s in combinations(names, n)]
        for made in (whole, *fewer):
            share = 1.0 if not fewer else 0.5 if made == whole else 0.5 / len(fewer)
            yield Pattern(frozenset(), made), roles.joint * share
            yield Pattern(frozenset(), made, one_clock=True), roles.one_clock * share


@frozen
class Trained:
    """What a network has learned to be asked."""

    patterns: frozenset[Pattern]

    def check(
        self, given: Collection[str], stages: Sequence[Collection[str]], left_out: Collection[str]
    ) -> None:
        """Refuse what no row of the training asked (M27): such answers are worth nothing.

        Args:
            given: names of the segments that are there.
            stages: names of those that are made together, stage after stage.
            left_out: of the given ones, those that guidance leaves out.

        Raises:
            InferenceError: with what was trained.
        """
        seen = set(given)
        for stage in stages:
            for gone in (frozenset[str](), *(frozenset({name}) for name in left_out)):
                if not self._serves(seen - gone, set(stage)):
                    guided = f", which guidance by {', '.join(gone)} asks" if gone else ""
                    raise InferenceError(
                        f"{_words(seen - gone, stage)} was never trained{guided}; expected a share "
                        f"of [roles] or [tasks] for it, or one of: {self}"
                    )
            seen |= set(stage)

    def _serves(self, given: set[str], made: set[str]) -> bool:
        """Whether rows were seen whose times may have been so.

        A segment with a time of its own is nearly clean in some rows, so it stands for a given one.
        """
        for pattern in self.patterns:
            if pattern.present != given | made or not pattern.made >= made:
                continue
            if pattern.made == made or not pattern.one_clock:
                return True
        return False

    def __str__(self) -> str:
        parts = sorted({_words(p.given, p.made) for p in self.patterns}, key=lambda t: (len(t), t))
        return "; ".join(parts)


def _words(given: Collection[str], made: Collection[str]) -> str:
    behind = f" from {' and '.join(sorted(given))}" if given else " alone" if len(made) == 1 else ""
    return " and ".join(sorted(made)) + behind
