"""The page of an ablation: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from aios_core.experiment.results import BITS, MARKS, NFE
from aios_core.experiment.statistics import interval
from aios_plugins._drawing import environment
from aios_plugins.reports.html import figures
from aios_plugins.reports.html.factors import choices
from aios_plugins.reports.html.prose import number, scope, sentences, tiles
from aios_plugins.reports.html.training import training_curves

if TYPE_CHECKING:
    from aios_core.contracts.report import AblationResults, Arm, Trial
    from aios_core.experiment.results import Verdict
    from aios_plugins.reports.html.figures import Cost, Panel

TEXTS: Final = 3
"""Samples shown of an arm."""
FILMS: Final = 24
"""Arms whose film is in the page: each takes a few kilobytes."""


@frozen
class Cell:
    """An arm's value of one metric."""

    text: str
    value: float | None
    """To sort by."""
    distance: str
    """From held-out texts, where arms are compared by it, else empty."""
    difference: str
    """To the baseline, of what arms are compared by."""
    verdict: Verdict | None
    best: bool


def render(results: AblationResults) -> str:
    """The page; every text in it is escaped, for a sample may hold anything."""
    pages = environment("aios_plugins.reports.html")
    pages.filters["number"] = number
    metric = results.headline
    best = {name: results.best(name) for name in results.compared}
    page: str = pages.get_template("report.html.jinja").render(
        about=results.about,
        scope=scope(results),
        sentences=sentences(results),
        tiles=tiles(results),
        headline=metric,
        marks=MARKS,
        by_distance={name for name in results.compared if results.by_distance(name)},
        metrics=results.compared,
        arms=[_arm(results, arm, best) for arm in results.arms],
        reference={name: results.reference(name) for name in results.compared},
        cost=_plots(results, figures.CALLS, results.metrics()),
        bits=_plots(results, figures.MEMORY, _own_first(results))
        if BITS in results.compared
        else {},
        effects=figures.main_effects(results, metric) if metric else [],
        training=training_curves(results),
        models=_models(results),
        model_metrics=_names(results),
        films=_films(results),
        lanes=_lanes(results),
        samples=_samples(results),
        failures=[trial for trial in results.trials if trial.status == "failed"],
        facts=_facts(results),
        keys=[(trial.arm, trial.seed, trial.key, trial.training_key) for trial in results.trials],
    )
    return page


def _plots(
    results: AblationResults, cost: Cost, metrics: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[Panel]]:
    """Those of metrics of which one value may be better, the headline first, against a cost."""
    names = [name for name, about in metrics.items() if about["better"]]
    return {name: figures.against_cost(results, name, cost) for name in names}


def _own_first(results: AblationResults) -> dict[str, Mapping[str, Any]]:
    """What arms are compared by; what is measured of networks themselves before their texts."""
    texts = results.metrics()
    return dict(sorted(results.compared.items(), key=lambda item: item[0] in texts))


def _arm(
    results: AblationResults, arm: Arm, best: Mapping[str, tuple[Arm, bool] | None]
) -> dict[str, Any]:
    done = [trial for trial in arm.trials if trial.status == "done"]
    cost, seconds = arm.summary(NFE), arm.summary("seconds")
    return {
        "label": arm.label,
        "baseline": arm is results.baseline,
        "n": len(done),
        "failed": sum(trial.status == "failed" for trial in arm.trials),
        "cost": cost.mean if cost else None,
        "seconds": seconds.mean if seconds else None,
        "cells": {name: _cell(results, arm, name, best[name]) for name in results.compared},
    }


def _cell(results: AblationResults, arm: Arm, name: str, best: tuple[Arm, bool] | None) -> Cell:
    summary = arm.summary(name)
    baseline = arm is results.baseline
    return Cell(
        text=interval(summary),
        value=summary.mean if summary else None,
        distance=interval(results.distance(arm, name)) if results.by_distance(name) else "",
        difference="" if baseline else interval(results.difference(arm, name), sign="+"),
        verdict=results.verdict(arm, name),
        best=best is not None and best[1] and best[0] is arm,
    )


def _names(results: AblationResults) -> dict[str, str]:
    """Metrics of networks, the twin's among them, with their units."""
    units: dict[str, str] = {}
    for model in sorted(results.models.values(), key=lambda model: bool(model["twin"])):
        for name, measure in model["result"].get("metrics", {}).items():
            units[name] = measure["unit"] or ""
    return units


def _models(results: AblationResults) -> list[dict[str, Any]]:
    rows = []
    for model in results.models.values():
        words = " · ".join(str(level) for level in choices(model["settings"]).values())
        rows.append(
            {
                "label": "autoregressive twin" if model["twin"] else words or "diffusion",
                "twin": model["twin"],
                "seed": model["seed"],
                "metrics": model["result"].get("metrics", {}),
                "seconds": model["result"].get("training_seconds"),
                "parameters": model["result"].get("parameters"),
            }
        )
    return sorted(rows, key=lambda row: bool(row["twin"]))


def _shown(arm: Arm) -> Trial | None:
    """The trial whose texts stand for an arm: the first that is done."""
    return next((trial for trial in arm.trials if trial.status == "done"), None)


def _films(results: AblationResults) -> list[dict[str, Any]]:
    shown = [(arm, trial) for arm in results.arms if (trial := _shown(arm))]
    return [
        {"label": arm.label, "seed": trial.seed, **trial.result["film"]}
        for arm, trial in shown[:FILMS]
    ]


def _lanes(results: AblationResults) -> list[int]:
    """Which films stand side by side at first: the baseline, the best, and the cheapest other."""
    labels = [film["label"] for film in _films(results)]
    metric = results.headline
    best = results.best(metric) if metric else None
    by_cost = sorted((cost.mean, arm.label) for arm in results.arms if (cost := arm.summary(NFE)))
    shown = [results.baseline.label, *([best[0].label] if best else [])]
    shown += [label for _, label in by_cost]
    indices = [labels.index(label) for label in dict.fromkeys(shown) if label in labels]
    return indices[:3]


def _samples(results: AblationResults) -> list[dict[str, Any]]:
    metric = results.headline
    best = results.best(metric) if metric else None
    opened = {results.baseline.label, *([best[0].label] if best else [])}
    samples = []
    for arm in results.arms:
        trial = _shown(arm)
        if trial:
            texts = trial.result["texts"][:TEXTS]
            is_open = arm.label in opened
            samples.append(
                {"label": arm.label, "seed": trial.seed, "texts": texts, "open": is_open}
            )
    return samples


def _facts(results: AblationResults) -> list[tuple[str, str]]:
    """How it was run, as pairs of a name and a value."""
    done = [trial.result for trial in results.trials if trial.status == "done"]
    measured = [model["result"] for model in results.models.values() if model["result"]]
    facts = [("command", results.about.get("command", ""))]
    if "started" in results.about:
        when = datetime.fromisoformat(results.about["started"])
        facts.append(("started", f"{when:%Y-%m-%d %H:%M %Z}"))
    if "seconds" in results.about:
        facts.append(("duration, all runs", duration(results.about["seconds"])))
    work = sum(job.get("seconds", 0) for job in (*done, *measured))
    facts.append(("work in all jobs", duration(work)))
    facts.append(("seeds", ", ".join(str(s) for s in sorted({t.seed for t in results.trials}))))
    for name, key, source in (
        ("machine", "machine", measured),
        ("time_epsilon of the NELBO", "time_epsilon", measured),
        ("held-out tokens measured", "tokens", measured),
        ("held-out bytes measured", "bytes", measured),
        ("sampling dtype", "dtype", done),
        ("samples a trial", "samples", done),
        ("tokens a sample", "length", done),
    ):
        values = {str(record[key]) for record in source if key in record}
        if values:
            facts.append((name, ", ".join(sorted(values))))
    yardsticks = [model["yardsticks"] for model in measured if model.get("yardsticks")]
    for name in yardsticks[0] if yardsticks else ():
        reached = dict.fromkeys(f"{each[name]:.4g}" for each in yardsticks)
        facts.append((f"{name} yardstick, nats a token", ", ".join(reached)))
    if results.loses_text:
        reason = "not given where a tokenizer loses a part of the held-out text"
        facts.append(("bits a byte", reason))
    versions = results.about.get("versions", {})
    facts.append(("versions", ", ".join(f"{name} {value}" for name, value in versions.items())))
    return facts


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
