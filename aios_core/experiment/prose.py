"""The findings of an ablation in words: what a reader takes home who reads one paragraph."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from attrs import frozen
from markupsafe import Markup

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
    found = (name for name, about in results.compared.items() if about["better"])
    return next(found, None)


def sentences(results: Results) -> list[Markup]:
    """The summary, a sentence each; the arms and the numbers that matter are bold."""
    metric = headline(results)
    found: list[Markup] = []
    best = results.best(metric) if metric else None
    if metric and best:
        found += _winner(results, metric, *best)
        found += _cheapest(results, metric, best[0])
    found += _networks(results)
    if not any(len(arm.by_seed(NFE)) > 1 for arm in results.arms):
        found.append(Markup("Every arm ran with one seed (n = 1), so there are no intervals."))
    failed = sum(trial.status == "failed" for trial in results.trials)
    if failed:
        text = Markup("<strong>{} of {} trials failed</strong>; the reasons are below.")
        found.append(text.format(failed, len(results.trials)))
    return found


def scope(results: Results) -> str:
    """What was compared."""
    varied = [f"{one.name}: {', '.join(map(str, one.levels))}" for one in factors(results.arms)]
    seeds = len({trial.seed for trial in results.trials})
    many = f"{len(results.arms)} arms with {seeds} seeds" if seeds > 1 else "One seed an arm"
    return ". ".join((many, "; ".join(varied) or "nothing varied but the seed"))


def tiles(results: Results) -> list[Tile]:
    """The main numbers."""
    found = []
    metric = headline(results)
    best = results.best(metric) if metric else None
    if metric and best:
        summary = best[0].summary(metric)
        assert summary is not None
        unit = results.compared[metric]["unit"] or ""
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
    """Three digits that count, and all of those before the point."""
    return f"{value:#.3g}".rstrip(".") if abs(value) < 100 and value % 1 else f"{value:.0f}"


def bounds(summary: Summary) -> str:
    """An interval as text."""
    return f"[{summary.low:.3f}, {summary.high:.3f}]"


def signed(value: float) -> str:
    """A difference, to three decimals."""
    return f"{value:+.3f}"


def _winner(results: Results, metric: str, best: Arm, certain: bool) -> list[Markup]:
    summary, cost = best.summary(metric), best.summary(NFE)
    assert summary is not None
    assert cost is not None
    reference = results.reference(metric)
    real = "" if reference is None else f", where held-out text has {number(reference)}"
    beside = [
        f"{name} {number(other.mean)}" + _of_real(results, name)
        for name in results.metrics()
        if name != metric and (other := best.summary(name))
    ]
    found = [
        Markup(
            "Best by {} is <strong>{}</strong>: <strong>{}</strong>{}, at {} network calls."
        ).format(metric, best.label, number(summary.mean), real, number(cost.mean))
    ]
    if beside:
        found.append(Markup("The same texts have {}.").format(", ".join(beside)))
    if best is not results.baseline:
        found.append(_against_baseline(results, metric, best))
        found += _contradicted(results, metric, best)
    if not certain and summary.n > 1:
        found.append(
            Markup(
                "The seeds do not tell it from every other arm: against at least one the 95 % "
                "interval includes zero, so no cell is marked as best."
            )
        )
    return found


def _of_real(results: Results, name: str) -> str:
    reference = results.reference(name)
    return "" if reference is None else f" (held-out {number(reference)})"


def _against_baseline(results: Results, metric: str, best: Arm) -> Markup:
    baseline = results.baseline.label
    difference = results.difference(best, metric)
    if difference is None:
        return Markup("No seed has both it and the baseline, {}.").format(baseline)
    text = Markup("Its difference to the baseline, {}, is <strong>{}</strong>").format(
        baseline, signed(difference.mean)
    )
    if difference.low is None:
        return text + " by one seed, so without an interval."
    verdict = "excludes" if difference.excludes_zero else "includes"
    return text + (
        f"; the 95 % interval over {difference.n} paired seeds, {bounds(difference)}, "
        f"{verdict} zero."
    )


def _contradicted(results: Results, metric: str, best: Arm) -> list[Markup]:
    """Where other metrics speak for the baseline: a text that repeats itself is a likely one."""
    scores = {
        name: [results.scores(arm, name) for arm in (best, results.baseline)]
        for name in results.metrics()
        if name != metric
    }
    against = [
        name
        for name, (own, other) in scores.items()
        if own and other and fmean(own.values()) > fmean(other.values())
    ]
    if not against:
        return []
    text = Markup(
        "By {} the baseline is better: <strong>no one number says which texts are good</strong>."
    )
    return [text.format(", ".join(against))]


def _cheapest(results: Results, metric: str, best: Arm) -> list[Markup]:
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
    text = Markup("At the lowest cost, {} calls, the best is <strong>{}</strong> with {}").format(
        number(lowest), arm.label, number(own.mean)
    )
    if gap is None:
        return [text + "."]
    text += f": {gap.mean:.3f} worse for {100 * lowest / top:.0f} % of the cost"
    if gap.low is None:
        return [text + "."]
    verdict = "excludes" if gap.excludes_zero else "includes"
    return [text + f" (95 % interval {bounds(gap)}, which {verdict} zero)."]


def _networks(results: Results) -> list[Markup]:
    """How well the networks know the text, next to their twin."""
    found: dict[bool, list[float]] = {}
    for model in results.models.values():
        for measure in model["result"].get("metrics", {}).values():
            if measure["unit"] == "bits/byte":
                found.setdefault(model["twin"], []).append(measure["value"])
    if not found:
        return []
    spans = {
        twin: " to ".join(dict.fromkeys((number(min(values)), number(max(values)))))
        for twin, values in found.items()
    }
    parts = [f"the diffusion networks need {spans[False]}"] if False in spans else []
    parts += [f"the autoregressive twin {spans[True]}"] if True in spans else []
    return [Markup("For held-out text {} bits a byte.").format(", ".join(parts))]
