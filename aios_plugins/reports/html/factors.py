"""What varies between the arms of an ablation, as a reader thinks of it.

The settings of one section that are words belong together (a sampler and the way it selects are
one choice), a number is a factor of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from aios_core.contracts.report import Arm


@frozen
class Factor:
    """Something that varies."""

    name: str
    """``"noise"``, or ``"sampler.steps"`` for a number."""
    levels: tuple[Any, ...]
    """In the order of the file; numbers ascending."""

    @property
    def numeric(self) -> bool:
        """Whether its levels are numbers."""
        return all(isinstance(level, int | float) for level in self.levels)


def choices(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The level of every factor in the settings of an arm."""
    words: dict[str, list[str]] = {}
    numbers = {}
    for key, value in sorted(settings.items(), key=lambda item: not item[0].endswith(".type")):
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers[key] = value
        else:
            words.setdefault(key.partition(".")[0], []).append(str(value))
    return {section: " · ".join(parts) for section, parts in words.items()} | numbers


def factors(arms: Sequence[Arm]) -> list[Factor]:
    """Everything of which the arms have two levels or more."""
    levels: dict[str, dict[Any, None]] = {}
    for arm in arms:
        for name, level in choices(arm.settings).items():
            levels.setdefault(name, {})[level] = None
    chosen = [Factor(name, tuple(seen)) for name, seen in levels.items() if len(seen) > 1]
    return [
        Factor(factor.name, tuple(sorted(factor.levels))) if factor.numeric else factor
        for factor in chosen
    ]


@frozen
class Curves:
    """Arms as a plot against cost shows them: panels of lines of arms."""

    panels: dict[str, dict[str, tuple[Arm, ...]]]
    """Title of the panel, name of the line, arms by ascending settings."""
    lines: tuple[str, ...]
    """Names of all lines, so that a line has one colour in every panel."""


def curves(arms: Sequence[Arm], section: str) -> Curves:
    """One line for each choice of a section, one panel for every combination of what else varies.

    Where nothing is chosen in the section, the lines are the levels of what varies.

    Args:
        arms: what is drawn.
        section: ``"sampler"`` or another whose numbers decide the cost.
    """
    varied = {factor.name: factor for factor in factors(arms)}
    cost = {
        name for name, factor in varied.items() if factor.numeric and name.startswith(f"{section}.")
    }
    others = [name for name in varied if name not in cost and name != section]
    line_names = [section] if section in varied else others[:1]
    panel_names = [name for name in others if name not in line_names]
    panels: dict[str, dict[str, list[Arm]]] = {}
    for arm in arms:
        level = choices(arm.settings)
        panel = ", ".join(_title(name, level[name]) for name in panel_names if name in level)
        line = ", ".join(_title(name, level[name]) for name in line_names if name in level)
        panels.setdefault(panel, {}).setdefault(line, []).append(arm)
    names = dict.fromkeys(line for panel in panels.values() for line in panel)
    return Curves(
        {
            panel: {line: tuple(own) for line, own in lines.items()}
            for panel, lines in panels.items()
        },
        tuple(names),
    )


def _title(name: str, level: Any) -> str:
    return level if isinstance(level, str) else f"{name.rpartition('.')[2]} {level}"
