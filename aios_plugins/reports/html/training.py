"""The figure of the trainings in a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aios_plugins._drawing import SERIES, end_labels, picture, style
from aios_plugins.reports.html.factors import choices
from aios_plugins.reports.html.figures import SIZE, Panel, padded

if TYPE_CHECKING:
    from aios_core.contracts.report import AblationResults


def training_curves(results: AblationResults) -> Panel | None:
    """Loss against steps of every network, smoothed; faint as recorded, dashed on held-out text."""
    from matplotlib.figure import Figure

    labels: dict[str, int] = {}
    drawn = []
    for key, models in _trainings(results).items():
        file = results.folder / "models" / key / "metrics.jsonl"
        records, held_out = _records(file, "loss"), _records(file, "held_out_loss")
        if len(records) < 2:
            continue
        words = " · ".join(str(level) for level in choices(_common(models)).values())
        label = "twin (exact)" if models[0]["twin"] else words or "diffusion"
        labels.setdefault(label, len(labels) % len(SERIES))
        drawn.append((label, records, held_out))
    if not drawn:
        return None
    smoothed = [_smooth([loss for _, loss in records]) for _, records, _ in drawn]
    later = [loss for losses in smoothed for loss in losses[len(losses) // 20 :]]
    later += [loss for _, _, held_out in drawn for _, loss in held_out[len(held_out) // 20 :]]
    with style("training"):
        figure = Figure(figsize=SIZE)
        axes = figure.add_axes((0.14, 0.15, 0.655, 0.82))
        axes.set_ylim(*padded(later, share=0.08))
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


def _trainings(results: AblationResults) -> dict[str, list[Mapping[str, Any]]]:
    """The networks of each training: those that are quantized in several ways share theirs."""
    trainings: dict[str, list[Mapping[str, Any]]] = {}
    for model in results.models.values():
        trainings.setdefault(model["training_key"], []).append(model)
    return trainings


def _common(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings that networks have in common."""
    first, *others = (model["settings"] for model in models)
    return {
        name: value
        for name, value in first.items()
        if all(name in other and value == other[name] for other in others)
    }


def _records(path: Path, name: str) -> list[tuple[int, float]]:
    """Step and value of every record of a name; none where another tracker has them."""
    records = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if isinstance(record.get(name), int | float):
                records.append((record["step"], record[name]))
    except (OSError, ValueError):
        pass
    return records


def _smooth(losses: Sequence[float]) -> list[float]:
    """Exponential average over a twentieth of the run, unbiased at its start."""
    decay = 1 - min(1.0, 20 / len(losses))
    smooth, total, weight = [], 0.0, 0.0
    for loss in losses:
        total, weight = decay * total + loss, decay * weight + 1
        smooth.append(total / weight)
    return smooth
