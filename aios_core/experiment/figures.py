"""The figures of a report."""

from __future__ import annotations

import json
import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from aios_core.experiment.factors import choices, curves, factors
from aios_core.experiment.prose import number
from aios_core.experiment.results import NFE
from aios_core.experiment.statistics import Summary, summarise
from aios_core.experiment.svg import FAINT, INK, MARKERS, SERIES, end_labels, picture, style

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

    from aios_core.experiment.factors import Factor
    from aios_core.experiment.results import Arm, Results

_SIZE = (5.6, 3.6)
"""Inches; a panel is as wide as a phone, and the page puts as many in a row as fit."""


@frozen
class Panel:
    """A picture and what stands above it."""

    title: str
    svg: Markup


def axis_label(name: str, about: dict[str, Any]) -> str:
    """A metric with its unit."""
    return f"{name} ({about['unit']})" if about.get("unit") else name


def against_cost(results: Results, metric: str) -> list[Panel]:
    """A metric against the number of function evaluations."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    plan = curves(results.arms)
    reference = results.reference(metric)
    limits = _limits(results.arms, metric, reference)
    used = Counter(round(c.mean) for arm in results.arms if (c := arm.summary(NFE)))
    costs = sorted(used)
    if limits is None or not costs:
        return []
    panels = []
    for title, lines in plan.panels.items():
        with style(f"cost {metric} {title}"):
            figure = Figure(figsize=_SIZE)
            axes = figure.add_axes((0.125, 0.15, 0.585, 0.82))
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
                end = _line(axes, arms, metric, which)
                if end:
                    ends.append((*end, name.replace(" · ", " ·\n"), SERIES[which]))
            if reference is not None:
                axes.axhline(reference, color=FAINT, linestyle="--", linewidth=1.2)
                ends.append((costs[-1] * pad, reference, "held-out text", INK))
            axes.set_xlabel("network calls a batch (NFE)")
            axes.set_ylabel(axis_label(metric, results.metrics()[metric]))
            end_labels(axes, ends)
            said = f"{metric} against network calls. {title}. {_said(lines, metric)}"
            panels.append(Panel(title, picture(figure, said)))
    return panels


def _line(axes: Axes, arms: Iterable[Arm], metric: str, which: int) -> tuple[float, float] | None:
    """Draw one line with its intervals and seeds; returns its right end."""
    colour, marker = SERIES[which], MARKERS[which]
    points = sorted(
        (
            (cost.mean, summary, arm)
            for arm in arms
            if (cost := arm.summary(NFE)) and (summary := arm.summary(metric))
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


def main_effects(results: Results, metric: str) -> list[Panel]:
    """For each factor, the mean over all arms of each of its levels, with intervals over seeds."""
    from matplotlib.figure import Figure

    found = []
    for factor in factors(results.arms):
        effects = [(level, _effect(results, factor, level, metric)) for level in factor.levels]
        found.append((factor, [(level, s) for level, s in effects if s is not None]))
    found = [(factor, levels) for factor, levels in found if levels]
    means = [summary.mean for _, levels in found for _, summary in levels]
    if not means:
        return []
    reference = results.reference(metric)
    limits = _padded([*means, *([] if reference is None else [reference])], share=0.25)
    panels = []
    for factor, levels in found:
        with style(f"effects {metric} {factor.name}"):
            figure = Figure(figsize=(_SIZE[0] * 0.8, _SIZE[1] * 0.95))
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
            axes.set_ylabel(axis_label(metric, results.compared[metric]))
            said = "; ".join(f"{level}: {summary.mean:.3f}" for level, summary in levels)
            panels.append(
                Panel(factor.name, picture(figure, f"Mean {metric} by {factor.name}. {said}"))
            )
    return panels


def _wrapped(level: str, levels: int) -> str:
    """A level's name in lines that fit under its point."""
    return textwrap.fill(level.replace(" · ", " "), max(8, 42 // levels))


def _effect(results: Results, factor: Factor, level: Any, metric: str) -> Summary | None:
    """Mean over the arms of a level, seed by seed; only seeds that all these arms have count."""
    own = [a.by_seed(metric) for a in results.arms if choices(a.settings).get(factor.name) == level]
    if not own or not all(own):
        return None
    seeds = set.intersection(*(set(values) for values in own))
    means = [sum(values[seed] for values in own) / len(own) for seed in sorted(seeds)]
    return summarise(means) if means else None


def training_curves(results: Results) -> Panel | None:
    """Loss against steps of every network, smoothed; faint as recorded, dashed on held-out text."""
    from matplotlib.figure import Figure

    labels: dict[str, int] = {}
    drawn = []
    for model in results.models.values():
        file = results.folder / "models" / model["training_key"] / "metrics.jsonl"
        records, held_out = _records(file, "loss"), _records(file, "held_out_loss")
        if len(records) < 2:
            continue
        words = " · ".join(str(level) for level in choices(model["settings"]).values())
        label = "twin (exact)" if model["twin"] else words or "diffusion"
        labels.setdefault(label, len(labels) % len(SERIES))
        drawn.append((label, records, held_out))
    if not drawn:
        return None
    smoothed = [_smooth([loss for _, loss in records]) for _, records, _ in drawn]
    later = [loss for losses in smoothed for loss in losses[len(losses) // 20 :]]
    later += [loss for _, _, held_out in drawn for _, loss in held_out[len(held_out) // 20 :]]
    with style("training"):
        figure = Figure(figsize=_SIZE)
        axes = figure.add_axes((0.105, 0.15, 0.69, 0.82))
        axes.set_ylim(*_padded(later, share=0.08))
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("loss (nats/token)")
        ends = {}
        for (label, records, held_out), smooth in zip(drawn, smoothed, strict=True):
            colour = SERIES[labels[label]]
            steps, losses = zip(*records, strict=True)
            axes.plot(steps, losses, color=colour, linewidth=0.6, alpha=0.25)
            axes.plot(steps, smooth, color=colour)
            axes.plot(*zip(*held_out, strict=True), color=colour, linestyle="--", linewidth=1.2)
            ends[label] = (steps[-1], smooth[-1], label.replace(" · ", " ·\n"), colour)
        axes.margins(x=0.01)
        end_labels(axes, list(ends.values()))
        said = "; ".join(f"{label} ends at {end[1]:.2f}" for label, end in ends.items())
        return Panel("", picture(figure, f"Training loss against steps. {said}"))


def _records(path: Path, name: str) -> list[tuple[int, float]]:
    """Step and value of every record of a name; none where another tracker has them."""
    found = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if isinstance(record.get(name), int | float):
                found.append((record["step"], record[name]))
    except (OSError, ValueError):
        pass
    return found


def _smooth(losses: Sequence[float]) -> list[float]:
    """Exponential average over a twentieth of the run, unbiased at its start."""
    decay = 1 - min(1.0, 20 / len(losses))
    smooth, total, weight = [], 0.0, 0.0
    for loss in losses:
        total, weight = decay * total + loss, decay * weight + 1
        smooth.append(total / weight)
    return smooth


def _limits(
    arms: Iterable[Arm], metric: str, reference: float | None
) -> tuple[float, float] | None:
    """Room for every seed and the reference; an interval of two seeds may leave the panel."""
    values = [value for arm in arms for value in arm.by_seed(metric).values()]
    if not values:
        return None
    return _padded([*values, *([] if reference is None else [reference])], share=0.12)


def _padded(values: Sequence[float], share: float) -> tuple[float, float]:
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
