"""The findings of an ablation in words: what a reader takes home who reads one paragraph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from aios_core.experiment.factors import factors
from aios_core.experiment.results import NFE
from aios_core.experiment.statistics import paired

if TYPE_CHECKING:
    from aios_core.experiment.results import Arm, Results
    from aios_core.experiment.statistics import Summary


@frozen
class Tile:
    """A number that deserves to be large."""

    value: str
    label: str
    note: str


def headline(results: Results) -> str | None:
    """The metric that the report leads with: the first of which one value may be better."""
    found = (name for name, about in results.metrics().items() if about["better"])
    return next(found, None)


def sentences(results: Results) -> list[str]:
    """The summary, a sentence each."""
    metric = headline(results)
    found = [_scope(results)]
    best = results.best(metric) if metric else None
    if metric and best:
        found += _winner(results, metric, *best)
        found += _cheapest(results, metric, best[0])
    found += _networks(results)
    if not any(len(arm.by_seed(NFE)) > 1 for arm in results.arms):
        found.append("Every arm ran with one seed (n = 1), so there are no intervals.")
    failed = sum(trial.status == "failed" for trial in results.trials)
    if failed:
        found.append(f"{failed} of {len(results.trials)} trials failed; the reasons are below.")
    return found


def tiles(results: Results) -> list[Tile]:
    """The main numbers."""
    found = []
    metric = headline(results)
    best = results.best(metric) if metric else None
    if metric and best:
        summary = best[0].summary(metric)
        assert summary is not None
        unit = results.metrics()[metric]["unit"] or ""
        found.append(Tile(number(summary.mean), f"best {metric} ({unit})", best[0].label))
        reference = results.reference(metric)
        if reference is not None:
            found.append(Tile(number(reference), f"{metric} of held-out text", "what to be near"))
    done = sum(trial.status == "done" for trial in results.trials)
    trainings = len({model["training_key"] for model in results.models.values()})
    note = f"in {len(results.arms)} arms, sharing {trainings} trainings"
    found.append(Tile(f"{done} / {len(results.trials)}", "trials done", note))
    costs = [cost.mean for arm in results.arms if (cost := arm.summary(NFE))]
    if costs:
        few, many = number(min(costs)), number(max(costs))
        span = few if few == many else f"{few} to {many}"
        found.append(Tile(span, "network calls a batch", "what a text costs"))
    return found


def number(value: float) -> str:
    """Three decimals at most, four digits that count."""
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def bounds(summary: Summary) -> str:
    """An interval as text."""
    return f"[{summary.low:.3f}, {summary.high:.3f}]"


def _scope(results: Results) -> str:
    varied = [f"{one.name} ({', '.join(map(str, one.levels))})" for one in factors(results.arms)]
    seeds = {trial.seed for trial in results.trials}
    what = ", ".join(varied) or "nothing but the seed"
    many = f"{len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    return f"{len(results.arms)} arms, {many}. What varied: {what}."


def _winner(results: Results, metric: str, best: Arm, certain: bool) -> list[str]:
    summary, cost = best.summary(metric), best.summary(NFE)
    assert summary is not None
    assert cost is not None
    reference = results.reference(metric)
    nearer = results.metrics()[metric]["better"] == "nearer" and reference is not None
    goal = f" (held-out text has {number(reference)}; nearer is better)" if nearer else ""  # type: ignore[arg-type]
    calls = f"{number(cost.mean)} network calls"
    beside = [
        f"{name} {number(other.mean)}" + _of_real(results, name)
        for name in results.metrics()
        if name != metric and (other := best.summary(name))
    ]
    with_it = f"; the same texts have {', '.join(beside)}" if beside else ""
    found = [f"Best by {metric} is {best.label}: {number(summary.mean)}{goal} at {calls}{with_it}."]
    if best is not results.baseline:
        found.append(_against_baseline(results, metric, best))
    if not certain and summary.n > 1:
        found.append(
            "The seeds do not tell it from every other arm: somewhere the 95 % interval of the "
            "paired difference includes zero, so no cell is marked as best."
        )
    return found


def _of_real(results: Results, name: str) -> str:
    reference = results.reference(name)
    return "" if reference is None else f" (held-out {number(reference)})"


def _against_baseline(results: Results, metric: str, best: Arm) -> str:
    difference = results.difference(best, metric)
    if difference is None:
        return f"No seed has both it and the baseline, {results.baseline.label}."
    way = "higher" if difference.mean > 0 else "lower"
    text = f"That is {number(abs(difference.mean))} {way} than the baseline"
    text += f" ({results.baseline.label})"
    if difference.low is None:
        return f"{text}, by one seed, so without an interval."
    verdict = "excludes zero" if difference.excludes_zero else "includes zero"
    return (
        f"{text}; the 95 % interval of the difference over {difference.n} paired seeds, "
        f"{bounds(difference)}, {verdict}."
    )


def _cheapest(results: Results, metric: str, best: Arm) -> list[str]:
    """What the lowest cost buys, and how far it is from the best."""
    costs = {arm.label: nfe.mean for arm in results.arms if (nfe := arm.summary(NFE))}
    lowest = min(costs.values())
    top = costs.get(best.label, lowest)
    cheap = [arm for arm in results.arms if costs.get(arm.label) == lowest]
    scored = [(arm, results.scores(arm, metric)) for arm in cheap]
    scored = [(arm, scores) for arm, scores in scored if scores]
    if top < 1.5 * lowest or not scored:
        return []
    arm, scores = min(scored, key=lambda pair: sum(pair[1].values()) / len(pair[1]))
    gap = paired(scores, results.scores(best, metric))
    own = arm.summary(metric)
    assert own is not None
    text = f"With {number(lowest)} calls the best is {arm.label}: {number(own.mean)}"
    if gap is None:
        return [f"{text}."]
    text += f", {number(gap.mean)} worse than the best at {number(top / lowest)} times the cost"
    if gap.low is None:
        return [f"{text}."]
    verdict = "excludes" if gap.excludes_zero else "includes"
    return [f"{text} (95 % interval {bounds(gap)}, which {verdict} zero)."]


def _networks(results: Results) -> list[str]:
    """How well the networks know the text, next to their twin."""
    found: dict[tuple[str, str], list[float]] = {}
    for model in results.models.values():
        for name, measure in model["result"].get("metrics", {}).items():
            if measure["unit"] == "bits/byte":
                who = "the autoregressive twin" if model["twin"] else "the diffusion networks"
                found.setdefault((who, name), []).append(measure["value"])
    parts = []
    for (who, _), values in found.items():
        low, high = number(min(values)), number(max(values))
        parts.append(f"{who} {low}" + ("" if low == high else f" to {high}"))
    if not parts:
        return []
    return [f"Bits per byte of held-out text: {', '.join(sorted(parts, reverse=True))}."]
