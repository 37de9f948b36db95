"""The figures of a report."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from aios_core.experiment.results import BITS, NFE
from aios_core.experiment.statistics import Summary, summarise
from aios_plugins._drawing import FAINT, INK, MARKERS, SERIES, end_labels, picture, style
from aios_plugins.reports.html.factors import choices, curves, factors
from aios_plugins.reports.html.prose import number

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

    from aios_core.contracts.report import AblationResults, Arm
    from aios_plugins.reports.html.factors import Factor

SIZE = (5.6, 3.6)
"""Inches; a panel is as wide as a phone, and the page puts as many in a row as fit."""


@frozen
class Panel:
    """A picture and what stands above it."""

    title: str
    svg: Markup


@frozen
class Cost:
    """What a better value may have to be paid with."""

    name: str
    """Of the measure."""
    section: str
    """Of the settings that decide it."""
    label: str
    """Of its axis."""


CALLS = Cost(NFE, "sampler", "network calls a batch (NFE)")
MEMORY = Cost(BITS, "quantizer", "bits a weight")


def axis_label(name: str, about: Mapping[str, Any]) -> str:
    """A metric with its unit."""
    return f"{name} ({about['unit']})" if about.get("unit") else name


def against_cost(results: AblationResults, metric: str, cost: Cost) -> list[Panel]:
    """A metric against what it costs."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    plan = curves(results.arms, cost.section)
    reference = results.reference(metric)
    limits = _limits(results.arms, metric, reference)
    used = Counter(round(c.mean) for arm in results.arms if (c := arm.summary(cost.name)))
    costs = sorted(used)
    if limits is None or not costs:
        return []
    panels = []
    for title, lines in plan.panels.items():
        with style(f"{cost.name} {metric} {title}"):
            figure = Figure(figsize=SIZE)
            axes = figure.add_axes((0.16, 0.15, 0.55, 0.82))
            if costs[-1] >= 4 * costs[0] > 0:
                axes.set_xscale("log", base=2)
                axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.xaxis.set_major_locator(FixedLocator(_apart(used)))
            axes.xaxis.set_minor_locator(NullLocator())
            pad = max(costs[-1] / costs[0], 1.2) ** 0.06 if costs[0] else 1.1
            axes.set_xlim(costs[0] / pad, costs[-1] * pad)
            axes.set_ylim(*limits)
            ends = []
            for name, arms in lines.items():
                which = plan.lines.index(name) % len(SERIES)
                end = _line(axes, arms, metric, cost.name, which)
                if end:
                    ends.append((*end, name.replace(" · ", " ·\n"), SERIES[which]))
            if reference is not None:
                axes.axhline(reference, color=FAINT, linestyle="--", linewidth=1.2)
                ends.append((costs[-1] * pad, reference, "held-out text", INK))
            axes.set_xlabel(cost.label)
            axes.set_ylabel(axis_label(metric, results.compared[metric]))
            end_labels(axes, ends)
            said = [f"{metric} against {cost.label}", title, _said(lines, metric)]
            panels.append(Panel(title, picture(figure, ". ".join(filter(None, said)))))
    return panels


def _line(
    axes: Axes, arms: Iterable[Arm], metric: str, cost: str, which: int
) -> tuple[float, float] | None:
    """Draw one line with its intervals and seeds; returns its right end."""
    colour, marker = SERIES[which], MARKERS[which]
    points = sorted(
        (
            (paid.mean, summary, arm)
            for arm in arms
            if (paid := arm.summary(cost)) and (summary := arm.summary(metric))
        ),
        key=lambda point: point[0],
    )
    if not points:
        return None
    x = [place for place, _, _ in points]
    axes.plot(x, [summary.mean for _, summary, _ in points], color=colour, marker=marker)
    for place, summary, arm in points:
        if summary.low is not None and summary.high is not None:
            bounds = [summary.low, summary.high]
            axes.plot([place, place], bounds, color=colour, linewidth=1, alpha=0.7)
        seeds = list(arm.by_seed(metric).values())
        axes.plot([place] * len(seeds), seeds, ".", color=colour, markersize=3.5, alpha=0.6)
    return x[-1], points[-1][1].mean


def main_effects(results: AblationResults, metric: str) -> list[Panel]:
    """For each factor, the mean over all arms of each of its levels, with intervals over seeds.

    Where nearer to held-out texts is better, the mean is that of distances from them.
    """
    from matplotlib.figure import Figure

    measured = []
    for factor in factors(results.arms):
        effects = [(level, _effect(results, factor, level, metric)) for level in factor.levels]
        measured.append((factor, [(level, s) for level, s in effects if s is not None]))
    measured = [(factor, levels) for factor, levels in measured if levels]
    means = [summary.mean for _, levels in measured for _, summary in levels]
    if not means:
        return []
    label = axis_label(metric, results.compared[metric])
    reference = results.reference(metric)
    if results.by_distance(metric):
        label, reference = f"distance of {label} from held-out text", None
    limits = padded([*means, *([] if reference is None else [reference])], share=0.25)
    panels = []
    for factor, levels in measured:
        with style(f"effects {metric} {factor.name}"):
            figure = Figure(figsize=(SIZE[0] * 0.8, SIZE[1] * 0.95))
            names = [_wrapped(str(level), len(levels)) for level, _ in levels]
            foot = 0.05 + 0.06 * max(name.count("\n") + 1 for name in names)
            axes = figure.add_axes((0.16, foot, 0.81, 0.97 - foot))
            x = range(len(levels))
            axes.plot(x, [s.mean for _, s in levels], color=SERIES[0], marker="o", linewidth=1)
            for place, (_, summary) in zip(x, levels, strict=True):
                if summary.low is not None and summary.high is not None:
                    axes.plot([place] * 2, [summary.low, summary.high], color=SERIES[0], alpha=0.7)
                axes.annotate(
                    number(summary.mean),
                    (place, summary.mean),
                    xytext=(7, 5),
                    textcoords="offset points",
                    fontsize=9.5,
                )
            if reference is not None:
                axes.axhline(reference, color=FAINT, linestyle="--", linewidth=1.2)
            axes.set_xlim(-0.4, len(levels) - 0.4)
            axes.set_ylim(*limits)
            axes.set_xticks(list(x), names)
            axes.set_ylabel(label)
            said = "; ".join(f"{level}: {summary.mean:.3f}" for level, summary in levels)
            panels.append(
                Panel(factor.name, picture(figure, f"Mean {label} by {factor.name}. {said}"))
            )
    return panels


def _wrapped(level: str, levels: int) -> str:
    """A level's name in lines that fit under its point."""
    return textwrap.fill(level.replace(" · ", " "), max(8, 42 // levels))


def _effect(results: AblationResults, factor: Factor, level: Any, metric: str) -> Summary | None:
    """Mean over the arms of a level, seed by seed; only seeds that all these arms have count."""
    arms = [arm for arm in results.arms if choices(arm.settings).get(factor.name) == level]
    own = [results.judged(arm, metric) for arm in arms]
    if not own or not all(own):
        return None
    seeds = set.intersection(*(set(values) for values in own))
    means = [sum(values[seed] for values in own) / len(own) for seed in sorted(seeds)]
    return summarise(means) if means else None


def _limits(
    arms: Iterable[Arm], metric: str, reference: float | None
) -> tuple[float, float] | None:
    """Room for every seed and the reference; an interval of two seeds may leave the panel."""
    values = [value for arm in arms for value in arm.by_seed(metric).values()]
    if not values:
        return None
    return padded([*values, *([] if reference is None else [reference])], share=0.12)


def padded(values: Sequence[float], share: float) -> tuple[float, float]:
    """The range of values with some room around it, a share of its width."""
    low, high = min(values), max(values)
    room = share * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def _apart(costs: Counter[int]) -> list[int]:
    """Ticks that do not touch each other on a logarithmic axis, those of most arms first."""
    kept: list[int] = []
    for cost, _ in costs.most_common():
        if all(abs(math.log2(max(cost, 1) / max(other, 1))) > 0.45 for other in kept):
            kept.append(cost)
    return kept


def _said(lines: dict[str, tuple[Arm, ...]], metric: str) -> str:
    parts = []
    for name, arms in lines.items():
        values = [s.mean for arm in arms if (s := arm.summary(metric))]
        parts.append(f"{name}: {', '.join(f'{value:.3f}' for value in values)}")
    return "; ".join(parts)
